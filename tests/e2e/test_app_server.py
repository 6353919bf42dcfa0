"""The server, without a browser: this machine alone, nothing from elsewhere, clear refusals."""

from __future__ import annotations

import re
import socket
import urllib.request

import pytest

from blackbox.app import server
from blackbox.cli import options
from blackbox.specs import digits


@pytest.fixture
def connections(monkeypatch):
    """Where anything in this process connects to, or asks a name server about."""
    seen: list[str] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def to(self, address):
        seen.append(str(address[0]) if isinstance(address, tuple) else str(address))
        return connect(self, address)

    def ask(host, *more, **options_):
        seen.append(str(host))
        return resolve(host, *more, **options_)

    monkeypatch.setattr(socket.socket, "connect", to)
    monkeypatch.setattr(socket, "getaddrinfo", ask)
    return seen


def test_the_page_needs_this_machine_alone(table, connections, tmp_path):
    page, url = server.serve(table, str(tmp_path), None, str(tmp_path / "scratch"))
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        with urllib.request.urlopen(url) as answer:
            policy, html = answer.headers["content-security-policy"], answer.read().decode()
        assert "default-src 'self'" in policy and "http" not in policy
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"'](https?:[^\"']+)", html)
        assert [each for each in loaded if "127.0.0.1" not in each] == []
        assert "googleapis" not in html and "gradio.live" not in html
        assert page.analytics_enabled is False and page.share is False
        port = int(url.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(ValueError, match=f"Expected a free port, but {port} cannot be had"):
            server.serve(table, str(tmp_path), port)
    finally:
        page.close(verbose=False)
    assert set(connections) <= {"127.0.0.1", "localhost", "::1"}, connections


def call(targets=(), surrogates=(), data="digits", most=0.1, **images):
    server.run(
        list(targets), list(surrogates), images=options.Images(data, **images), nets=options.Nets(), most=most, runs="runs",
        port=None, seed=0, quiet=True,
    )  # fmt: skip


def test_wrong_commands_are_told_at_once(tmp_path):
    with pytest.raises(ValueError, match="Expected --eps between 0 and 1"):
        call(most=8)
    with pytest.raises(ValueError, match="Expected --target"):
        call(surrogates=["digits:mlp"])
    with pytest.raises(ValueError, match="Expected a net on --surrogate.*digits:knn has none"):
        call(["digits:knn"], ["digits:knn"], n=10)
    with pytest.raises(
        ValueError, match="Expected --surrogate.*digits:knn has none.*blackbox surrogate --target digits:knn"
    ):
        call(["digits:knn"], n=10)
    with pytest.raises(FileNotFoundError):
        call(["digits:knn"], data=f"folder:{tmp_path}/none")


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install -e '.\[app\]'"):
        call()


def test_a_bench_of_ones_own_models(tmp_path):
    from blackbox.app.benches import own_bench
    from blackbox.app.opening import Preparation

    bench = own_bench(["digits:mlp,knn"], [], options.Images("digits", n=12), options.Nets(), 0.2)
    assert list(bench.targets) == ["mlp", "knn"] and list(bench.surrogates) == ["mlp itself (white box)"]
    ready = Preparation(bench).start()
    assert ready.wait(60) and ready.error is None
    assert len(bench.shots) == 12 and bench.most == 0.2 and "of 12" in bench.about
    first = bench.shots[0]
    assert int(bench.look("mlp", first.image[None]).label[0]) == first.label
    twice = own_bench(["digits:knn"], ["digits:mlp", "digits:mlp"], options.Images("digits", n=12), options.Nets(), 0.2, seed=3)
    assert list(twice.surrogates) == ["mlp", "mlp (2)"]
    assert twice.net("mlp") is digits.fit("mlp", 3), "the seed is that of the targets too"


def test_photographs_start_at_4_255_and_digits_at_half_of_the_slider(tmp_path):
    import numpy as np
    from PIL import Image

    from blackbox.app.benches import own_bench

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(2):
            pixels = np.full((64, 64, 3), 90 + 40 * i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\ndef load():\n    return nn.Sequential(nn.Flatten(), nn.Linear(12288, 2))\n"
    )
    photos = options.Images(f"folder:{tmp_path}", size=64)
    bench = own_bench([f"{tmp_path}/net.py:load"], [], photos, options.Nets(), None)
    assert (bench.unit, bench.most, bench.start) == (255, 16 / 255, 4 / 255)
    assert own_bench([f"{tmp_path}/net.py:load"], [], photos, options.Nets(), 2 / 255).start == pytest.approx(1 / 255)
    digit = own_bench(["digits:mlp"], [], options.Images("digits", n=12), options.Nets(), None)
    assert (digit.unit, digit.most, digit.start) == (1, 0.1, 0.05)


def test_what_the_preparation_stops_at_ends_the_command(monkeypatch, capsys):
    """The page has its address before the models are there; what fails afterwards is told in the terminal as well."""
    from blackbox.app import benches

    def bench(*_):
        made = benches.own_bench(["digits:logreg"], ["digits:mlp"], options.Images("digits", n=4), options.Nets(), 0.1)
        made.prepare = [("measuring", lambda: 1 / 0)]
        return made

    monkeypatch.setattr(benches, "asked_for", bench)
    with pytest.raises(ZeroDivisionError):
        server.run(
            ["x"], [], images=options.Images("digits"), nets=options.Nets(), most=None, runs="runs", port=None, seed=0, quiet=False
        )
    said = capsys.readouterr().out
    assert re.match(r"page     http://127.0.0.1:\d+/ ", said) and "ready" not in said
