# SPDX-License-Identifier: Apache-2.0
"""'kmodctl graph': what it draws, whatever modules are called and say of themselves."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from kmodctl.pictures.drawing import dot, mermaid
from kmodctl.pictures.gathering import AFTER, Graph, Node
from kmodctl.pictures.page import page
from tests.support.daemon import Daemon
from tests.support.here import run_here
from tests.support.require import find_tool, require

HOSTILE = '</script><img src=x onerror="document.title=1">\n<!-- \\N "#1;&lt;'
"""What ends a script, begins a comment, and is an escape of DOT's, of Mermaid's and of HTML's."""

DRIVER = """
<script>
const key = text => { const box = document.getElementById("search"); box.value = text;
  box.dispatchEvent(new Event("input")); };
key("gre");
const first = document.querySelector("#found button");
document.body.dataset.first = first.textContent.trim();
document.body.dataset.count = document.getElementById("count").textContent;
first.click();
window.addEventListener("hashchange", () => setTimeout(() => {
  const beside = [...document.querySelectorAll("#details dd button")];
  if (document.body.dataset.shown === "greet")
    beside.find(each => each.textContent === "world").click();
  else document.body.dataset.done = document.body.dataset.shown;
}));
</script>
"""
"""Types, clicks what is found, and then what needs that."""


def hostile_graph() -> Graph:
    graph = Graph()
    for name in (HOSTILE, "plain"):
        graph.nodes[name] = Node(name, f"/x/kernel/{name}.ko")
        graph.nodes[name].details = {"description": [HOSTILE]}
    graph.lines["plain", HOSTILE] = AFTER
    graph.nodes["plain"].loaded = graph.nodes["plain"].held = True
    graph.nodes["plain"].size = 1 << 20
    return graph


def test_what_is_drawn_is_who_needs_whom(daemon: Daemon, tmp_path: Path) -> None:
    run_here(daemon.socket, "modprobe", "world")
    drawn = run_here(daemon.socket, "graph", "world")
    assert (drawn.status, drawn.errors) == (0, "")
    assert '  "world" -> "greet";\n' in drawn.output
    assert re.search(r'"greet" \[label="greet", width=.*style=filled', drawn.output)
    told = json.loads(run_here(daemon.socket, "--json", "graph", "world").output)
    assert told["lines"] == [{"from": "world", "to": "greet", "kind": "needs"}]
    world = next(each for each in told["modules"] if each["name"] == "world")
    assert (world["loaded"], world["held"], world["size_bytes"] > 0) == (True, False, True)
    assert world["details"]["license"] == ["GPL"]
    loaded = json.loads(run_here(daemon.socket, "--json", "graph", "--loaded").output)
    assert [each["name"] for each in loaded["modules"]] == ["world", "greet"]
    whole = json.loads(run_here(daemon.socket, "--json", "graph").output)
    kinds = {(each["from"], each["to"]): each["kind"] for each in whole["lines"]}
    assert kinds["world", "greet"] == "needs"
    assert {"before", "needs"} <= {*kinds.values()}
    assert len(whole["modules"]) >= 15
    chart = run_here(daemon.socket, "graph", "world", "-f", "mermaid").output
    assert chart.startswith('flowchart LR\n  m0["world"]:::loaded\n')
    for wrong in (["nosuch"], ["-o", str(tmp_path / "no/such"), "world"]):
        assert run_here(daemon.socket, "graph", *wrong).status == 1


def test_graphviz_takes_what_any_module_is_called() -> None:
    require("dot", "drawing SVG needs the package graphviz")
    graph = hostile_graph()
    answer = subprocess.run(
        ["dot", "-Tplain"], input=dot(graph), capture_output=True, text=True, check=True
    )
    assert answer.stderr == ""
    rows = [line.split()[0] for line in answer.stdout.splitlines()]
    assert (rows.count("node"), rows.count("edge")) == (2, 1)
    assert "<img" not in mermaid(graph)
    assert mermaid(graph).count("\n") == 5


def test_svg_without_graphviz_is_refused_with_the_way_to_get_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    drawn = run_here(daemon.socket, "graph", "world", "--format", "svg")
    assert (drawn.status, drawn.output) == (1, "")
    assert "of the package graphviz" in drawn.errors


def dumped(browser: str, file: Path, at: Path) -> str:
    """Return a page as it is once its scripts have run; what the console tells is an error."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={at}", "--virtual-time-budget=5000", "--dump-dom"]
    answer = subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    assert "CONSOLE" not in answer.stderr, answer.stderr
    return answer.stdout


def test_the_page_finds_and_follows_in_a_browser(daemon: Daemon, tmp_path: Path) -> None:
    browser = find_tool("chromium")
    require(bool(browser), "looking at a page needs the package chromium")
    assert browser is not None
    file = tmp_path / "graph.html"
    assert run_here(daemon.socket, "graph", "-o", str(file)).status == 0
    text = file.read_text()
    assert not re.search(r"""(src|href)=|https?://(?!www\.w3\.org)""", text.partition("<script")[0])
    file.write_text(text.replace("</body>", f"{DRIVER}</body>"))
    found = dict(re.findall(r'data-(\w+)="([^"]*)"', dumped(browser, file, tmp_path / "profile")))
    assert (found["first"], found["done"]) == ("greet", "world")
    assert re.fullmatch(r"[0-9]+ of [0-9]+ modules", found["count"])
    file.write_text(page(hostile_graph()))
    shown = dumped(browser, file, tmp_path / "profile")
    assert "<img" not in shown.partition("<body")[2].replace("\\u003cimg", "")
    assert 'data-shown="all"' in shown
    assert "&lt;/script&gt;&lt;img src=x" in shown
