"""The layout: which control stands where, and which of the `answers` it asks for.

Annotations are evaluated here, because gradio finds by them which functions want the request or the selection.
"""

import functools
from collections.abc import Callable, Iterator
from html import escape
from types import SimpleNamespace
from typing import Any

from blackbox.app import compute, draw, hunt, opening, saved
from blackbox.app.answers import PACES, Answers, label, ours, sentence
from blackbox.app.bench import Bench, Shot
from blackbox.app.opening import Preparation
from blackbox.report.gallery import scaled

LOSSES = ["margin", "cross-entropy"]
FAR = [0.1, 0.3, 1.0]
FAR_OF_PHOTOGRAPHS = [("8/255", 8 / 255), ("32/255", 32 / 255), ("0.3", 0.3)]
INTRO = (
    "Change each pixel of an image a little, by at most eps, and see what two models say: a surrogate, whose gradients are known, and "
    "a hidden target, which only answers."
)
QUERY = (
    "Without gradients: the attack sees only the target's answers, and every image it submits is one query. The bar shows the "
    "queries charged so far."
)
TAYLOR = (
    "FGSM approximates the loss by a straight line, the tangent: loss + eps · gradient · sign(gradient); where pixels reach black or "
    "white it bends. Here the surrogate's true loss beside it. The margin is the best wrong score minus the right one: above 0 the "
    "label is wrong. For contrast choose cross-entropy, which is flat where the model is sure of the right class."
)
REGIONS = "From the image along the sign of the surrogate's gradient: the decision regions of one class after another."
WAIT = '<div class="bb"><p role="status"><span class="bb-spinner" aria-hidden="true"></span>{}</p></div>'
TABS = ["Slider", "Why it transfers", "Query attack", "Loss and tangent", "Decision regions", "Saved run"]


def build(bench: Bench, runs: str = "runs", ready: Preparation | None = None) -> Any:
    """The page as gradio blocks; serve it with `server.serve`. ``ready``: what the page waits for before it shows anything."""
    import gradio as gr

    answers, c = Answers(bench), SimpleNamespace()  # c: the controls, by name
    with gr.Blocks(title="blackbox", analytics_enabled=False) as page:
        c.shot, c.view = gr.State(None), gr.State(TABS[0])
        gr.HTML(f'<div class="bb"><h1>blackbox</h1>{INTRO}</div>', elem_id="intro")
        with gr.Row(elem_id="body"):
            with gr.Column(scale=5, min_width=300, elem_id="views"), gr.Tabs(overflow_behavior="wrap"):
                _views(gr, c, bench, runs)
            with gr.Column(scale=2, min_width=290, elem_id="choices"):
                _choices(gr, c, bench)
        _wire_views(gr, c, answers)
        _wire_query(gr, c, answers, page, runs)
        _wire_start(gr, c, answers, page, ready or Preparation(bench).start())
    return page


def _views(gr: Any, c: SimpleNamespace, bench: Bench, runs: str) -> None:
    """The tabs, left."""
    fars = (FAR_OF_PHOTOGRAPHS, 32 / 255) if bench.photographs else (FAR, FAR[1])
    tabs = [(name, name.lower().replace(" ", "-")) for name in TABS]
    c.tabs = []

    def tab(number: int) -> Any:
        name, word = tabs[number]
        c.tabs.append(gr.Tab(name, elem_id=f"tab-{word}"))
        return c.tabs[-1]

    with tab(0):
        _slider(gr, c, bench)
    with tab(1):
        c.reason = gr.HTML(WAIT.format("Taking both gradients …"), elem_id="reason")
    with tab(2):
        _query(gr, c, bench)
    with tab(3):
        gr.HTML(f'<div class="bb">{TAYLOR}</div>')
        with gr.Row():
            c.loss = gr.Dropdown(LOSSES, value=LOSSES[0], label="Loss", elem_id="loss", min_width=200)
            c.far = gr.Dropdown(fars[0], value=fars[1], label="Up to eps", elem_id="far", min_width=200)
        c.curve = gr.HTML(WAIT.format("Walking along the gradient …"), elem_id="curve")
    with tab(4):
        gr.HTML(f'<div class="bb">{REGIONS}</div>')
        c.walk = gr.Dropdown(fars[0], value=fars[1], label="Up to eps", elem_id="walk")
        c.strips = gr.HTML(WAIT.format("Walking along the gradient …"), elem_id="strips")
    with tab(5):
        _saved(gr, c, runs)


def _choices(gr: Any, c: SimpleNamespace, bench: Bench) -> None:
    """Models and images, right."""
    nets = list(bench.surrogates)
    targets = [(f"{name}: {bench.what[name]}" if name in bench.what else name, name) for name in bench.targets]
    c.surrogate = gr.Dropdown(nets, value=nets[0], label="Surrogate: its gradients are known", elem_id="surrogate")
    c.target = gr.Dropdown(targets, value=targets[0][1], label="Hidden target: it only answers", elem_id="target")
    c.thumbnails = gr.Gallery(
        [], label="Images", show_label=False, columns=4, height=330, allow_preview=False, object_fit="contain",
        elem_id="images", format="png", buttons=[], interactive=False,
    )  # fmt: skip
    c.file = gr.UploadButton("Upload an image", elem_id="upload", size="sm")
    c.notice = gr.HTML(elem_id="notice")
    c.about = gr.HTML(elem_id="about")


def _slider(gr: Any, c: SimpleNamespace, bench: Bench) -> None:
    c.stage = gr.HTML(WAIT.format("Getting ready …"), elem_id="stage")
    with gr.Group(elem_id="hold"):
        most, unit = bench.most * bench.unit, ", in 255ths" if bench.photographs else ""
        c.eps = gr.Slider(
            0, most, value=bench.start * bench.unit, step=most / opening.STEPS, elem_id="epsilon", buttons=[],
            label=f"eps: the largest change of a pixel{unit}",
        )  # fmt: skip
    ways = [(text, name) for name, text in compute.WAYS.items()]
    c.way = gr.Dropdown(ways, value="fgsm", label="How the change is made", elem_id="way")


def _query(gr: Any, c: SimpleNamespace, bench: Bench) -> None:
    gr.HTML(f'<div class="bb">{QUERY}</div>')
    low, high, step = (0.5, 32.0, 0.5) if bench.photographs else (0.01, max(0.3, bench.reach), 0.001)
    with gr.Row():
        c.attack = gr.Dropdown(hunt.names(), value="square", label="Attack", elem_id="attack", min_width=200)
        c.radius = gr.Slider(
            low, high, value=round(bench.reach * bench.unit, 3), step=step, elem_id="radius", buttons=[],
            label="eps, in 255ths" if bench.photographs else "eps",
        )  # fmt: skip
    with gr.Row():
        c.budget = gr.Number(250, label="Budget, queries", precision=0, minimum=1, elem_id="budget")
        c.seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
        c.pace = gr.Dropdown(list(PACES), value="20 queries a second", label="Pace", elem_id="pace")
    with gr.Row(elem_id="run"):
        c.go = gr.Button("Attack", variant="primary", elem_id="go")
        c.stop = gr.Button("Stop", variant="stop", elem_id="halt")
    c.progress = gr.HTML(elem_id="progress")


def _saved(gr: Any, c: SimpleNamespace, runs: str) -> None:
    with gr.Row():
        c.folder = gr.Dropdown(
            saved.found(runs), value=None, allow_custom_value=True, elem_id="folder", scale=4,
            label="Folder of a run, written by blackbox attack, transfer, sweep …: choose one, or type its path",
        )  # fmt: skip
        c.open = gr.Button("Show", elem_id="open", scale=1)
    c.story = gr.HTML(elem_id="story")


def _clear(gr: Any, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Show an error as a sentence in a corner of the page, which otherwise stays as it was."""

    @functools.wraps(answer)
    def call(*given: Any) -> Any:
        try:
            return answer(*given)
        except (Exception, SystemExit) as error:
            raise gr.Error(sentence(error), duration=12, print_exception=not ours(error)) from None

    return call


def _told(gr: Any, answer: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """As `_clear`, of what answers several times."""

    @functools.wraps(answer)
    def call(*given: Any) -> Iterator[Any]:
        try:
            yield from answer(*given)
        except (Exception, SystemExit) as error:
            raise gr.Error(sentence(error), duration=12, print_exception=not ours(error)) from None

    return call


_HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_SEEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}


def _wire_views(gr: Any, c: SimpleNamespace, answers: Answers) -> None:
    """Slider, tangent and regions follow every control; only the visible tab is computed again."""

    def refresh(
        tab: str, shot: Shot | None, surrogate: str, target: str, way: str, eps: float, loss: str, far: float, walk: float
    ) -> dict[Any, Any]:
        if tab == TABS[0]:
            return {c.stage: answers.show(shot, surrogate, target, way, eps)}
        if tab == TABS[1]:
            return {c.reason: answers.why(shot, surrogate, target)}
        if tab == TABS[3]:
            return {c.curve: answers.taylor(shot, surrogate, loss, far)}
        if tab == TABS[4]:
            return {c.strips: answers.regions(shot, surrogate, target, walk)}
        return {c.stage: gr.skip()}

    # straight to the function, past the queue; while one redraw runs, of all later positions only the last is kept
    gr.on(
        [c.eps.change], _clear(gr, answers.show), [c.shot, c.surrogate, c.target, c.way, c.eps], c.stage,
        trigger_mode="always_last", queue=False, **_HIDDEN,
    )  # fmt: skip
    gr.on(
        [each.change for each in (c.shot, c.view, c.surrogate, c.target, c.way, c.loss, c.far, c.walk)], _clear(gr, refresh),
        [c.view, c.shot, c.surrogate, c.target, c.way, c.eps, c.loss, c.far, c.walk], [c.stage, c.reason, c.curve, c.strips],
        trigger_mode="always_last", **_SEEN,
    )  # fmt: skip
    for tab in c.tabs:
        tab.select(lambda label=tab.label: label, None, c.view, **_HIDDEN)


def _wire_start(gr: Any, c: SimpleNamespace, answers: Answers, page: Any, ready: Preparation) -> None:
    """What a visitor sees first: what is still being made, then the images and the slider's picture."""
    bench = answers.bench

    def begin(surrogate: str, target: str, way: str) -> Iterator[tuple[Any, ...]]:
        keep = (gr.skip(),) * 3
        for at in ready.watch():
            yield draw.waiting(ready.words, at), *keep
        if ready.error is not None:
            yield draw.told(sentence(ready.error), wrong=True), *keep
            return
        images = gr.Gallery([(_thumbnail(s), label(bench, s)) for s in bench.shots], selected_index=0)
        eps = bench.start * bench.unit
        about = f'<div class="bb bb-dim">{escape(bench.about)}</div>'
        yield answers.show(None, surrogate, target, way, eps), eps, images, about

    page.load(
        _told(gr, begin), [c.surrogate, c.target, c.way], [c.stage, c.eps, c.thumbnails, c.about], concurrency_limit=None, **_HIDDEN
    )


def _wire_query(gr: Any, c: SimpleNamespace, answers: Answers, page: Any, runs: str) -> None:
    """Choosing and uploading images, query attacks, saved runs."""

    def choose(event: gr.SelectData) -> tuple[Shot, str]:
        return answers.bench.shots[int(event.index)], ""

    def attack(
        shot: Shot | None, surrogate: str, target: str, name: str, eps: float, budget: float, seed: float, pace: str,
        request: gr.Request,
    ) -> Iterator[str]:  # fmt: skip
        yield from answers.attack(str(request.session_hash), shot, surrogate, target, name, eps, budget, seed, pace)

    def halt(request: gr.Request) -> None:
        answers.halt(str(request.session_hash))

    c.thumbnails.select(_clear(gr, choose), None, [c.shot, c.notice], **_HIDDEN)
    c.file.upload(_clear(gr, answers.receive), [c.shot, c.file], [c.shot, c.notice], **_SEEN)
    asked = [c.shot, c.surrogate, c.target, c.attack, c.radius, c.budget, c.seed, c.pace]
    c.go.click(_told(gr, attack), asked, c.progress, concurrency_limit=4, **_HIDDEN)
    c.stop.click(halt, None, None, queue=False, **_HIDDEN)
    page.unload(halt)
    c.tabs[5].select(lambda: gr.Dropdown(choices=saved.found(runs)), None, c.folder, **_HIDDEN)
    gr.on([c.open.click, c.folder.change], answers.load, c.folder, c.story, trigger_mode="always_last", **_SEEN)


def _thumbnail(shot: Shot) -> Any:
    from PIL import Image

    return Image.fromarray(scaled(draw.pixels(shot.image), draw.small(shot.image)))
