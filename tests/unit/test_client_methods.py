# SPDX-License-Identifier: Apache-2.0
"""The methods as the Python client has them, which are generated."""

import ast
import inspect

import pytest

from kmodctl import client, services
from kmodctl.method import Method as ClientMethod
from tests.support.methods import METHODS, Method


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_client_has_each_method_as_the_api_has_it(method: Method) -> None:
    _, service, name = method.path.rsplit("/", 2)
    found = getattr(getattr(services, service.rpartition(".")[2]), name)
    assert isinstance(found, ClientMethod)
    assert found.path == method.path
    assert found.request is method.request
    assert found.response is method.response
    assert found.streams_requests is method.streams_requests
    assert found.streams_responses is method.streams_responses


def test_the_client_has_no_other_methods() -> None:
    classes = [each for each in vars(services).values() if isinstance(each, type)]
    found = [m for each in classes for m in vars(each).values() if isinstance(m, ClientMethod)]
    assert sorted(each.path for each in found) == sorted(each.path for each in METHODS)


def test_the_client_class_calls_each_of_them() -> None:
    nodes = ast.walk(ast.parse(inspect.getsource(client.Client)))
    called = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert called >= {method.path.rpartition(".")[2].replace("/", ".") for method in METHODS}
