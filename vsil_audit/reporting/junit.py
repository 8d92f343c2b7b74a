"""JUnit XML for continuous integration: one suite per detector, and one for the --fail-on thresholds.

A flagged pair is a failure, a failed look an error, an abstention skipped; a clear pair passes. A leak that a judge or
a target shows is a failure like any other flag. What judges say that failed their checks is no verdict on a pair: those
pairs are skipped, with the reason, and the failed check itself is an error, since nothing was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from vsil_audit.pair import Abstained, Failed, Finding
from vsil_audit.reporting.evidence import strongest_evidence
from vsil_audit.reporting.numbers import number
from vsil_audit.reporting.pair_reports import PairReport, read_pairs
from vsil_audit.reporting.standing import NO_BOUND, standing
from vsil_audit.reporting.untrusted import fold, visible
from vsil_audit.runs.asked_summary import JudgeCheck
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.summary import DetectorRun
from vsil_audit.runs.thresholds import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """`result`: passed, failure, error or skipped; `kind` its type, `message` one line, `body` more."""

    suite: str
    name: str
    result: str = "passed"
    kind: str = ""
    message: str = ""
    body: str = ""

    def xml(self) -> str:
        head = f"    <testcase classname={_attribute(self.suite)} name={_attribute(self.name)}"
        if self.result == "passed":
            return f"{head}/>"
        if self.result == "skipped":
            return f"{head}><skipped message={_attribute(self.message)}/></testcase>"
        inside = f"<{self.result} type={_attribute(self.kind)} message={_attribute(self.message)}>"
        return f"{head}>{inside}{escape(visible(self.body))}</{self.result}></testcase>"


def render_junit(run: RunFolder, verdicts: Sequence[Verdict] = ()) -> str:
    """JUnit XML of a finished run; `verdicts` are what the --fail-on thresholds said of it."""
    summary = run.summary()
    who = standing(summary)
    doubts = {d.name: who.doubt(d.name) for d in summary.detectors}
    cases: dict[str, list[Case]] = {d.name: [] for d in summary.detectors if d.unit != "set"}
    for report in read_pairs(run):
        for name, findings in report.findings.items():
            cases.setdefault(name, []).extend(_case(report, finding, doubts.get(name, "")) for finding in findings)
    suites = [_suite("thresholds", [_threshold(v) for v in verdicts])] if verdicts else []
    if checks := [_check(c) for c in (summary.asked.checks if summary.asked else ()) if c.bound != NO_BOUND]:
        suites.append(_suite("judge checks", checks))
    suites += [_suite(d.name, cases.get(d.name) or [_whole(d)]) for d in summary.detectors]
    title = _attribute(f"vsil-audit {summary.dataset.name}")
    return "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites name={title}>", *suites, "</testsuites>\n"]
    )


def _suite(name: str, cases: Sequence[Case]) -> str:
    counts = {result: sum(case.result == result for case in cases) for result in ("failure", "error", "skipped")}
    head = (
        f'  <testsuite name={_attribute(name)} tests="{len(cases)}" failures="{counts["failure"]}" '
        f'errors="{counts["error"]}" skipped="{counts["skipped"]}">'
    )
    return "\n".join([head, *(case.xml() for case in cases), "  </testsuite>"])


def _case(report: PairReport, finding: Finding, doubt: str) -> Case:
    suite = finding.detector
    name = report.pair.id if not finding.kind or not finding.verdict.flags else f"{report.pair.id} [{finding.kind}]"
    match finding.outcome:
        case Failed(kind, detail):
            return Case(suite, name, "error", kind, fold(detail, 300))
        case Abstained(reason):
            return Case(suite, name, "skipped", message=fold(reason, 300))
        case _ if doubt:
            return Case(suite, report.pair.id, "skipped", message=fold(f"not believed: {doubt}", 300))
        case scored if finding.verdict.flags:
            value = f"{scored.value:.3f}"
            message = " ".join(part for part in (finding.verdict.value, finding.kind.replace("_", " "), value) if part)
            return Case(suite, name, "failure", finding.verdict.value, message, _body(report, finding))
        case _:
            return Case(suite, name)


def _body(report: PairReport, finding: Finding) -> str:
    evidence = strongest_evidence(report.pair.text, finding)
    return "\n".join(_lines(str(report.pair.origin), fold(report.pair.text, 300), evidence))


def _lines(*lines: str) -> Iterable[str]:
    return (line for line in lines if line)


def _whole(detector: DetectorRun) -> Case:
    """A detector without a case per pair: it looked at the whole set, found nothing, or did not run."""
    if detector.state == "done":
        return Case(detector.name, "whole set")
    return Case(detector.name, "whole set", "skipped", message=f"{detector.state}: {detector.reason} {detector.remedy}")


def _threshold(verdict: Verdict) -> Case:
    result = {Outcome.CROSSED: "failure", Outcome.INCONCLUSIVE: "error"}.get(verdict.outcome, "passed")
    return Case("thresholds", str(verdict.threshold), result, verdict.outcome.value, verdict.reason)


def _check(check: JudgeCheck) -> Case:
    """One check of one judge; one that could not be made is skipped."""
    result = {True: "passed", False: "error"}.get(check.passed, "skipped")  # type: ignore[arg-type]  # None: neither
    said = f"{number(check.metric).line()}, must be {check.bound}"
    return Case("judge checks", f"{check.detector} {check.name}@{check.model}", result, check.name, said)


def _attribute(text: str) -> str:
    return quoteattr(visible(text), {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
