"""The layout: which control stands where, and which of the `answers` it asks for.

Annotations are evaluated here, because gradio finds by them which functions want the request or the selection.
"""

import functools
from collections.abc import Callable, Iterator
from html import escape
from types import SimpleNamespace
from typing import Any

from blackbox.app import compute, draw, hunt, saved
from blackbox.app.answers import PACES, Answers, label, ours, sentence
from blackbox.app.bench import Bench, Shot
from blackbox.report.gallery import scaled

LOSSES = ["cross-entropy", "margin"]
FAR = [0.1, 0.3, 1.0]
INTRO = (
    "Change each pixel of an image by at most eps, and see how two models classify it: a surrogate, whose gradients are known, "
    "and a hidden target, of which only the answers are known."
)
QUERY = (
    "Without gradients: the attack sees only the target's answers, and every image it submits is one query. The bar shows the "
    "queries charged so far."
)
TAYLOR = "FGSM approximates the loss by a straight line: loss + eps · gradient · sign(gradient). Here the surrogate's true loss beside it."
REGIONS = "From the image along the sign of the surrogate's gradient: the decision regions of one class after another."


def build(bench: Bench, runs: str = "runs") -> Any:
    """The page as gradio blocks; serve it with `server.serve`."""
    import gradio as gr

    answers, c = Answers(bench), SimpleNamespace()  # c: the controls, by name
    with gr.Blocks(title="blackbox", analytics_enabled=False) as page:
        c.shot, c.view = gr.State(None), gr.State("Slider")
        gr.HTML(f'<div class="bb"><h2 style="margin:.2rem 0">blackbox</h2>{INTRO}</div>')
        with gr.Row():
            with gr.Column(scale=2, min_width=290):
                _choices(gr, c, bench)
            with gr.Column(scale=5, min_width=520), gr.Tabs():
                with gr.Tab("Slider") as c.slider_tab:
                    _slider(gr, c, bench, answers)
                with gr.Tab("Query attack") as c.query_tab:
                    _query(gr, c, bench)
                with gr.Tab("Loss and tangent") as c.taylor_tab:
                    gr.HTML(f'<div class="bb">{TAYLOR}</div>')
                    with gr.Row():
                        c.loss = gr.Dropdown(LOSSES, value=LOSSES[0], label="Loss", elem_id="loss")
                        c.far = gr.Dropdown(FAR, value=FAR[1], label="Up to eps", elem_id="far")
                    c.curve = gr.HTML(elem_id="curve")
                with gr.Tab("Decision regions") as c.regions_tab:
                    gr.HTML(f'<div class="bb">{REGIONS}</div>')
                    c.walk = gr.Dropdown(FAR, value=FAR[1], label="Up to eps", elem_id="walk")
                    c.strips = gr.HTML(elem_id="strips")
                with gr.Tab("Saved run") as c.run_tab:
                    _saved(gr, c, runs)
        _wire_views(gr, c, answers)
        _wire_query(gr, c, answers, page, runs)
    return page


def _choices(gr: Any, c: SimpleNamespace, bench: Bench) -> None:
    """Models and images, left."""
    nets, targets = list(bench.surrogates), list(bench.targets)
    c.surrogate = gr.Dropdown(nets, value=nets[0], label="Surrogate: its gradients are known", elem_id="surrogate")
    c.target = gr.Dropdown(targets, value=targets[0], label="Hidden target: it only answers", elem_id="target")
    c.thumbnails = gr.Gallery(
        [(_thumbnail(s), label(bench, s)) for s in bench.shots], label="Images", show_label=False, columns=4,
        height=330, allow_preview=False, object_fit="contain", elem_id="images", format="png", buttons=[],
        interactive=False, selected_index=0,
    )  # fmt: skip
    c.file = gr.UploadButton("Upload an image", elem_id="upload", size="sm")
    c.notice = gr.HTML(elem_id="notice")
    gr.HTML(f'<div class="bb bb-dim">{escape(bench.about)}</div>')


def _slider(gr: Any, c: SimpleNamespace, bench: Bench, answers: Answers) -> None:
    c.eps = gr.Slider(
        0, bench.most, value=bench.most / 2, step=bench.most / 100, label="epsilon", elem_id="epsilon",
        info="the largest change of a pixel; images range from 0 to 1", buttons=[],
    )  # fmt: skip
    ways = [(text, name) for name, text in compute.WAYS.items()]
    c.way = gr.Dropdown(ways, value="fgsm", label="How the change is made", elem_id="way")
    first = answers.show(None, next(iter(bench.surrogates)), next(iter(bench.targets)), "fgsm", bench.most / 2)
    c.stage = gr.HTML(first, elem_id="stage")


def _query(gr: Any, c: SimpleNamespace, bench: Bench) -> None:
    gr.HTML(f'<div class="bb">{QUERY}</div>')
    with gr.Row():
        c.attack = gr.Dropdown(hunt.names(), value="square", label="Attack", elem_id="attack")
        c.radius = gr.Slider(
            0.01, max(0.3, bench.reach), value=round(bench.reach, 3), step=0.001, label="eps", elem_id="radius", buttons=[],
        )  # fmt: skip
    with gr.Row():
        c.budget = gr.Number(250, label="Budget, queries", precision=0, minimum=1, elem_id="budget")
        c.seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
        c.pace = gr.Dropdown(list(PACES), value="20 queries a second", label="Pace", elem_id="pace")
    with gr.Row():
        c.go = gr.Button("Attack", variant="primary", elem_id="go")
        c.stop = gr.Button("Stop", variant="stop", elem_id="halt")
    c.progress = gr.HTML(elem_id="progress")


def _saved(gr: Any, c: SimpleNamespace, runs: str) -> None:
    with gr.Row():
        c.folder = gr.Dropdown(
            saved.found(runs), value=None, label="Folder that a verb of blackbox wrote: choose, or type a path",
            allow_custom_value=True, elem_id="folder", scale=4,
        )  # fmt: skip
        c.open = gr.Button("Show", elem_id="open", scale=1)
    c.story = gr.HTML(elem_id="story")


def _clear(gr: Any, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Show an error as a sentence in a corner of the page, which otherwise stays as it was."""

    @functools.wraps(answer)
    def call(*given: Any) -> Any:
        try:
            return answer(*given)
        except Exception as error:
            raise gr.Error(sentence(error), duration=12, print_exception=not ours(error)) from None

    return call


_HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_SEEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}


def _wire_views(gr: Any, c: SimpleNamespace, answers: Answers) -> None:
    """Slider, tangent and regions follow every control; only the visible tab is computed again."""

    def refresh(
        tab: str, shot: Shot | None, surrogate: str, target: str, way: str, eps: float, loss: str, far: float, walk: float
    ) -> dict[Any, Any]:
        if tab == "Slider":
            return {c.stage: answers.show(shot, surrogate, target, way, eps)}
        if tab == "Loss and tangent":
            return {c.curve: answers.taylor(shot, surrogate, loss, far)}
        if tab == "Decision regions":
            return {c.strips: answers.regions(shot, surrogate, target, walk)}
        return {c.stage: gr.skip()}

    # straight to the function, past the queue; while one redraw runs, of all later positions only the last is kept
    gr.on(
        [c.eps.change], _clear(gr, answers.show), [c.shot, c.surrogate, c.target, c.way, c.eps], c.stage,
        trigger_mode="always_last", queue=False, **_HIDDEN,
    )  # fmt: skip
    gr.on(
        [each.change for each in (c.shot, c.view, c.surrogate, c.target, c.way, c.loss, c.far, c.walk)], _clear(gr, refresh),
        [c.view, c.shot, c.surrogate, c.target, c.way, c.eps, c.loss, c.far, c.walk], [c.stage, c.curve, c.strips],
        trigger_mode="always_last", **_SEEN,
    )  # fmt: skip
    for tab in (c.slider_tab, c.query_tab, c.taylor_tab, c.regions_tab, c.run_tab):
        tab.select(lambda label=tab.label: label, None, c.view, **_HIDDEN)


def _wire_query(gr: Any, c: SimpleNamespace, answers: Answers, page: Any, runs: str) -> None:
    """Choosing and uploading images, query attacks, saved runs."""

    def choose(event: gr.SelectData) -> tuple[Shot, str]:
        return answers.bench.shots[int(event.index)], ""

    def attack(
        shot: Shot | None, surrogate: str, target: str, name: str, eps: float, budget: float, seed: float, pace: str,
        request: gr.Request,
    ) -> Iterator[str]:  # fmt: skip
        try:
            yield from answers.attack(
                str(request.session_hash), shot, surrogate, target, name, eps, budget, seed, pace
            )
        except Exception as error:
            raise gr.Error(sentence(error), duration=12, print_exception=not ours(error)) from None

    def halt(request: gr.Request) -> None:
        answers.halt(str(request.session_hash))

    c.thumbnails.select(_clear(gr, choose), None, [c.shot, c.notice], **_HIDDEN)
    c.file.upload(_clear(gr, answers.receive), [c.shot, c.file], [c.shot, c.notice], **_SEEN)
    asked = [c.shot, c.surrogate, c.target, c.attack, c.radius, c.budget, c.seed, c.pace]
    c.go.click(attack, asked, c.progress, concurrency_limit=4, **_HIDDEN)
    c.stop.click(halt, None, None, queue=False, **_HIDDEN)
    page.unload(halt)
    c.run_tab.select(lambda: gr.Dropdown(choices=saved.found(runs)), None, c.folder, **_HIDDEN)
    gr.on([c.open.click, c.folder.change], answers.load, c.folder, c.story, **_SEEN)


def _thumbnail(shot: Shot) -> Any:
    from PIL import Image

    return Image.fromarray(scaled(draw.pixels(shot.image), draw.small(shot.image)))
