"""Accessibility of a page in a browser: axe-core's rules, and a score as Lighthouse computes it.

``audit(driver)`` runs every rule of axe-core (as shipped in the package axe-playwright-python) on the page as it stands. The
score is 100 times the weight of the rules that passed, of those that apply; a rule weighs 10, 7, 3 or 1 as a violation of it is
critical, serious, moderate or minor. ``hanging`` and ``tiny`` look for what a narrow screen breaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

WEIGHTS = {"critical": 10, "serious": 7, "moderate": 3, "minor": 1}
_RUN = """
const done = arguments[arguments.length - 1];
const worst = rule => { const all = rule.nodes.flatMap(n => [...n.any, ...n.all, ...n.none]).map(c => c.impact);
  return ['critical', 'serious', 'moderate', 'minor'].find(i => all.includes(i)) || 'minor'; };
axe.run(document, {resultTypes: ['violations', 'passes']}).then(found => done({
  passed: found.passes.map(rule => [rule.id, worst(rule)]),
  failed: found.violations.map(rule => [rule.id, rule.impact, rule.nodes.map(n => n.html.slice(0, 200))]),
}), error => done({error: String(error)}));
"""
_HANGING = """
const inside = e => { for (let p = e.parentElement; p; p = p.parentElement)
  if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(p).overflowX) && !p.matches('.gradio-container, body, html'))
    return true; };
return [...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && box.height && (box.right > innerWidth + 1 || box.left < -1) && !inside(e);
}).map(e => `${e.tagName} ${e.className} ${Math.round(e.getBoundingClientRect().left)} to ${Math.round(e.getBoundingClientRect().right)}`);
"""
_ASIDE = """
return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)
  .map(e => `${e.tagName} ${e.className}: ${e.scrollWidth} in ${e.clientWidth} pixels`);
"""
_TINY = """
return [...document.querySelectorAll('body *')].filter(e => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < arguments[0]
  && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
  .map(e => `${e.tagName} ${e.className}: ${getComputedStyle(e).fontSize}: ${e.innerText.slice(0, 40)}`);
"""


@dataclass(frozen=True)
class Audit:
    """score: 0 to 100. failed: (rule, impact, the elements) of each violation."""

    score: float
    failed: list[tuple[str, str, list[str]]]

    def grave(self) -> list[tuple[str, str, list[str]]]:
        """The serious and critical violations."""
        return [each for each in self.failed if each[1] in ("serious", "critical")]


@cache
def _axe() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None and spec.origin, "axe-playwright-python (extra dev) ships axe-core, and is not installed"
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def audit(driver: Any) -> Audit:
    """Run axe-core on the page that the selenium ``driver`` shows."""
    if not driver.execute_script("return typeof axe === 'object'"):
        driver.execute_script(_axe())
    found = driver.execute_async_script(_RUN)
    assert "error" not in found, found
    passed = sum(WEIGHTS[impact] for _, impact in found["passed"])
    failed = sum(WEIGHTS[impact] for _, impact, _ in found["failed"])
    return Audit(100 * passed / max(passed + failed, 1), [(a, b, c) for a, b, c in found["failed"]])


def resize(driver: Any, width: int, height: int = 844) -> None:
    """Show the page in so many CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def hanging(driver: Any, scrolled: str = "") -> list[str]:
    """Elements that hang out of the window, and, of those that the selector names, any wider inside than outside."""
    found = driver.execute_script(_HANGING)
    return [*found, *(driver.execute_script(_ASIDE, scrolled) if scrolled else [])]


def tiny(driver: Any, least: float = 11) -> list[str]:
    """Elements with letters smaller than ``least`` pixels."""
    return driver.execute_script(_TINY, least)  # type: ignore[no-any-return]
