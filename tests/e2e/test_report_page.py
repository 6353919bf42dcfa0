"""Report pages in a real browser: no violation of axe's rules, and nothing hangs out of a narrow screen or is too small to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from selenium import webdriver

import surrogates as sg
from blackbox.cli import attack
from blackbox.report import build
from blackbox.report import runs as saved_runs
from tests.e2e import accessibility
from tests.saved_runs import made

FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync"


@pytest.fixture
def browser(tmp_path: Path):
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.binary_location = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))))
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_pages_serve_everyone(browser, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "joint").mkdir()
    build.write(saved_runs.read_all([runs]), tmp_path / "joint")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "run.json").write_text(json.dumps({"settings": {"verb": "attack"}, "command": "blackbox attack"}))
    data = sg.Dataset(torch.full((20, 1, 4, 4), 0.5), torch.zeros(20, dtype=torch.int64), ("three", "eight"))
    result = made([5] * 17 + [0] * 3, prints=torch.zeros(20, dtype=torch.int64))
    attack.save(result, tmp_path / "own", data, "a-target-with-a-long-name" * 2)
    for name in ("joint", "own"):
        browser.get((tmp_path / name / "report.html").as_uri())
        for width in (1200, 390):
            accessibility.resize(browser, width)
            found = accessibility.audit(browser)
            assert not found.failed and found.score == 100, (name, width, found)
            assert not accessibility.hanging(browser, ".table, pre, .gallery, h1"), (name, width)
            assert not accessibility.tiny(browser), (name, width)
