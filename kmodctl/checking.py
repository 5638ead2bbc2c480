# SPDX-License-Identifier: Apache-2.0
"""What a check has found, in words and as JUnit's XML."""

import os

from kmodd.messages import emulation_service as pb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {
    pb.CHECK_FINDING_KIND_OOPS: ("no crash", "it crashes"),
    pb.CHECK_FINDING_KIND_STUCK: ("nothing without end", "it never ends"),
    pb.CHECK_FINDING_KIND_LEAK: ("nothing left behind", "never given back"),
    pb.CHECK_FINDING_KIND_UNOWNED: ("nothing given back twice", "given back twice, or never taken"),
    pb.CHECK_FINDING_KIND_IN_USE: ("nothing freed in use", "freed while in use"),
    pb.CHECK_FINDING_KIND_IGNORED: ("no failure ignored", "a failure is ignored"),
    pb.CHECK_FINDING_KIND_UNDONE: ("no failure hidden", "a failure is hidden"),
    pb.CHECK_FINDING_KIND_BAD_RESULT: ("an errno returned", "not an errno"),
}
"""What there is not to be, and what there is instead, by the kind of a finding."""

_AT = {
    pb.CHECK_PHASE_INIT: "in init",
    pb.CHECK_PHASE_RUNNING: "after init",
    pb.CHECK_PHASE_PROBE: "in probe",
    pb.CHECK_PHASE_REMOVE: "in remove",
    pb.CHECK_PHASE_EXIT: "in exit",
}

_DETAIL_LINES = 3


def shown_place(place: "pb.CodePlace | None") -> str:
    """Return a place in code: the function, and the line or how far behind its start it is."""
    if place is None or not place.function:
        return ""
    if place.line:
        return f"{place.function} ({os.path.relpath(place.file)}:{place.line})"
    return f"{place.function}+{place.offset:#x}"


def headline(finding: "pb.CheckFinding") -> str:
    """Return a finding in a line."""
    _, wrong = KINDS.get(finding.kind, ("", "something is wrong"))
    place = shown_place(finding.place)
    word = "taken in" if finding.kind == pb.CHECK_FINDING_KIND_LEAK else "in"
    return f"{wrong}: {finding.what}" + (f", {word} {place}" if place else "")


def details(finding: "pb.CheckFinding") -> "Iterator[str]":
    """Yield the lines that say how it came to a finding, and which rule it breaks."""
    calls = " and ".join(
        f"{call.function} in {shown_place(call.place)} returns {call.failure}"
        for call in finding.failed
    )
    yield f"when {calls}" if calls else "also when nothing fails"
    seen = [_AT.get(finding.phase, "")]
    if finding.device:
        seen.append(f"with the device {finding.device}")
    if finding.result is not None:
        seen.append(f"init returned {_shown_result(finding.result)}")
    if finding.runs > 1:
        seen.append(f"seen in {finding.runs} runs")
    yield "; ".join(filter(None, seen))
    yield f"rule: {finding.rule}"


def summary(report: "pb.CheckReport") -> str:
    """Return how many findings and runs there were."""
    count = len(report.findings)
    found = "nothing found" if not count else f"{count} finding{'s' if count > 1 else ''}"
    calls = f"{report.calls_failed} call{'s' if report.calls_failed != 1 else ''} made to fail"
    return f"{found} in {report.runs} run{'s' if report.runs != 1 else ''}, {calls}"


def junit(report: "pb.CheckReport") -> bytes:
    """Return a report as JUnit's XML: a test for each kind of finding there is not to be."""
    from xml.etree import ElementTree

    suite = ElementTree.Element("testsuite", name=f"kmodctl check {report.module}")
    failures = 0
    for kind, (wanted, _) in KINDS.items():
        case = ElementTree.SubElement(suite, "testcase", classname=report.module, name=wanted)
        found = [each for each in report.findings if each.kind == kind]
        if found:
            failures += 1
            failure = ElementTree.SubElement(case, "failure", message=_plain(headline(found[0])))
            lines = (line for each in found for line in (headline(each), *details(each), ""))
            failure.text = _plain("\n".join(lines))
    suite.set("tests", str(len(KINDS)))
    suite.set("failures", str(failures))
    suite.set("errors", "0")
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _plain(text: str) -> str:
    """Return a text without what XML cannot have."""
    return "".join(each if each >= " " or each in "\t\n" else "?" for each in text)


def _shown_result(result: int) -> str:
    from errno import errorcode

    name = errorcode.get(-result)
    return f"-{name}" if name else str(result)
