"""``blackbox app``: serve the page on this machine alone. Nothing is fetched from or sent to anywhere else."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.app.bench import Bench
    from blackbox.app.opening import Preparation
    from blackbox.specs import Images, Nets

HOST = "127.0.0.1"
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
}
# the browser refuses everything that does not come from this page
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)
_LARGEST = "200mb"  # an uploaded file; what is in it is looked at in `upload`


def run(
    targets: list[str], surrogates: list[str], *, images: Images, nets: Nets, most: float | None, runs: str,
    port: int | None, seed: int, quiet: bool,
) -> None:  # fmt: skip
    """Make the bench, serve the page, prepare what it shows, until Ctrl-C.

    The page is there before the models are, and says what it waits for; so does the terminal.

    Raises:
        ValueError: specs that do not fit, an eps that cannot be, a port that is taken. ModuleNotFoundError: no gradio.
        Whatever the preparation stopped at.
    """
    begin = time.perf_counter()
    if most is not None and not 0 < most <= 1:
        raise ValueError(f"Expected --eps between 0 and 1, the end of the slider, but it was {most:g}.")
    require()
    if not targets and nets.threads is None:  # the digits' nets are so small that a second thread only waits for the first
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    say = print if not quiet else (lambda *_, **__: None)
    with tempfile.TemporaryDirectory(prefix="blackbox-app-") as scratch, _spinner(quiet) as tell:
        tell("loading torch, models and images")
        nets.set_threads()
        from blackbox.app import benches
        from blackbox.app.opening import Preparation

        bench = benches.asked_for(targets, surrogates, images, nets, most, seed)
        ready = Preparation(bench).start()  # beside the import of gradio, which takes as long
        tell("loading gradio, which draws the page (the first time on a machine may take a minute)")
        page, url = serve(bench, runs, port, scratch, ready)
        say(f"page     {url}    (this machine only; Ctrl-C ends it; there after {time.perf_counter() - begin:.1f} s)", flush=True)
        try:
            for at in ready.watch():
                tell(ready.words[at])
            if ready.error is not None:
                raise ready.error
            tell("")
            say(f"ready    after {time.perf_counter() - begin:.1f} s", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            say("ended", flush=True)
        finally:
            page.close(verbose=False)


@contextmanager
def _spinner(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A function that says on a terminal what is being done, beside a spinner; with "" it says nothing more."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    status = Console(stderr=True).status("starting")
    status.start()
    try:
        yield lambda text: status.update(text) if text else status.stop()
    finally:
        status.stop()


def require() -> None:
    """Say how to install what is missing, before anything slow is done."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise ValueError(
            "Expected the package gradio for the page, but it is not installed. Install it: pip install -e '.[app]'"
        )


def serve(
    bench: Bench, runs: str = "runs", port: int | None = None, scratch: str | None = None, ready: Preparation | None = None
) -> tuple[Any, str]:
    """Start the server in the background: the blocks (``close()`` ends it) and the address.

    Raises:
        ValueError: the port is taken.
    """
    os.environ.update(_QUIET)
    if scratch is not None:
        os.environ["GRADIO_TEMP_DIR"] = scratch
    import gradio as gr
    from starlette.middleware import Middleware

    from blackbox.app import draw
    from blackbox.app.page import build

    page = build(bench, runs, ready)
    theme = gr.themes.Base(
        primary_hue="cyan",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(**draw.THEME)
    try:
        _, url, _ = page.launch(
            server_name=HOST, server_port=port, share=False, quiet=True, prevent_thread_lock=True, inbrowser=False,
            ssr_mode=False, enable_monitoring=False, footer_links=[], max_file_size=_LARGEST, theme=theme, css=draw.CSS, head=draw.HEAD,
            app_kwargs={"middleware": [Middleware(Policy)]}, show_error=True,
        )  # fmt: skip
    except OSError as error:
        raise ValueError(
            f"Expected a free port, but {port or 'all from 7860 on'} cannot be had on this machine ({error}). Name another: --port."
        ) from None
    return page, url


class Policy:
    """Middleware that adds the content policy to every response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self.app(scope, receive, marked)
