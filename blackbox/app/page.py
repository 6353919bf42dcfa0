"""The layout: which control stands where, and which function answers it. Everything that is computed is computed elsewhere.

Annotations are evaluated here, because gradio finds by them which functions want the request or the selection.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from blackbox.app import compute, draw, hunt, plots, saved, upload
from blackbox.app.bench import Bench, Shot

PACES = {"as fast as it goes": 0.0, "100 queries a second": 100.0, "20 queries a second": 20.0}
LOSSES = ["cross-entropy", "margin"]
FAR = [0.1, 0.3, 1.0]
INTRO = (
    "Change each pixel of an image by at most eps, and see what two models make of it: a surrogate, whose gradients show the way, "
    "and a hidden target that answers and nothing more."
)
QUERY = (
    "No gradients at all: the attack sees the target's answers alone, and every image it asks about is one query. The meter is "
    "the counter that stands before the target."
)
TAYLOR = "FGSM takes the loss for a straight line: loss + eps · gradient · sign(gradient). Here is the surrogate's true loss beside it."
REGIONS = "Walking from the image along the sign of the surrogate's gradient, one comes through the region of one class after another."


def build(bench: Bench, runs: str = "runs") -> Any:
    """The page as gradio blocks; serve it with `server.serve`."""
    import gradio as gr

    running: dict[str, threading.Event] = {}  # of each visitor's attack, to stop it
    nets, targets = list(bench.surrogates), list(bench.targets)

    def clear(answer: Callable[..., Any]) -> Callable[..., Any]:
        """An error becomes a sentence in a corner of the page, and everything on the page stays as it was."""

        @functools.wraps(answer)
        def call(*given: Any) -> Any:
            try:
                return answer(*given)
            except Exception as error:
                raise gr.Error(_sentence(error), duration=12, print_exception=not _ours(error)) from None

        return call

    def taken(shot: Shot | None) -> Shot:
        return shot or bench.shots[0]

    def show(shot: Shot | None, surrogate: str, target: str, way: str, eps: float) -> str:
        held = taken(shot)
        return draw.frame(bench, compute.redraw(bench, held, surrogate, target, way, float(eps)), _name(bench, held))

    def choose(event: gr.SelectData) -> tuple[Shot, str]:
        return bench.shots[int(event.index)], ""

    def receive(shot: Shot | None, file: str | None) -> tuple[Shot | None, str]:
        if file is None:
            return shot, ""
        try:
            made = upload.opened(file, bench)
        except ValueError as error:
            return shot, draw.told(str(error), wrong=True)
        said = f"{made.name}. {made.notice} Its class is not known: what counts is that a model changes its mind."
        return made, draw.told(said)

    def attack(
        shot: Shot | None, surrogate: str, target: str, name: str, eps: float, budget: float, seed: float, pace: str,
        request: gr.Request,
    ) -> Iterator[str]:  # fmt: skip
        held = taken(shot)
        halt(request)
        run = hunt.Hunt(bench, held, target, name, surrogate, float(eps), int(budget or 0), int(seed or 0), PACES[pace])
        running[str(request.session_hash)] = run.stop
        try:
            for state in run.watch():
                yield draw.meter(bench, state, _name(bench, held))
        except Exception as error:
            raise gr.Error(_sentence(error), duration=12, print_exception=not _ours(error)) from None
        finally:
            run.stop.set()

    def halt(request: gr.Request) -> None:
        if (event := running.pop(str(request.session_hash), None)) is not None:
            event.set()

    def taylor(shot: Shot, surrogate: str, loss: str, far: float) -> str:
        ray = compute.ray(bench, shot, surrogate, float(far), loss)
        return plots.svg(plots.taylor(bench, shot, ray, surrogate, loss), "bb-taylor", "Loss and tangent against eps")

    def regions(shot: Shot, surrogate: str, target: str, far: float) -> str:
        made = compute.crossing(bench, shot, surrogate, target, float(far))
        drawn = plots.crossing(bench, shot, made, surrogate, target)
        return plots.svg(drawn, "bb-walk", "Decision regions along the ray") + plots.regions_table(bench, made)

    def refresh(
        tab: str,
        shot: Shot | None,
        surrogate: str,
        target: str,
        way: str,
        eps: float,
        loss: str,
        far: float,
        walk: float,
    ) -> dict[Any, Any]:
        """Only what can be seen is worked out again."""
        if tab == "Slider":
            return {stage: show(shot, surrogate, target, way, eps)}
        if tab == "Loss and tangent":
            return {curve: taylor(taken(shot), surrogate, loss, far)}
        if tab == "Decision regions":
            return {strips: regions(taken(shot), surrogate, target, walk)}
        return {stage: gr.skip()}

    def load(folder: str) -> str:
        try:
            return draw.run(saved.opened(folder))
        except (ValueError, OSError) as error:
            return draw.told(_sentence(error), wrong=True)

    with gr.Blocks(title="blackbox", analytics_enabled=False) as page:
        shot, view = gr.State(None), gr.State("Slider")
        gr.HTML(f'<div class="bb"><h2 style="margin:.2rem 0">blackbox</h2>{INTRO}</div>')
        with gr.Row():
            with gr.Column(scale=2, min_width=290):
                surrogate = gr.Dropdown(
                    nets, value=nets[0], label="Surrogate: its gradients are known", elem_id="surrogate"
                )
                target = gr.Dropdown(
                    targets, value=targets[0], label="Hidden target: it only answers", elem_id="target"
                )
                thumbnails = gr.Gallery(
                    [(_thumbnail(s), _label(bench, s)) for s in bench.shots], label="Images", show_label=False, columns=4,
                    height=330, allow_preview=False, object_fit="contain", elem_id="images", format="png", buttons=[],
                    interactive=False, selected_index=0,
                )  # fmt: skip
                file = gr.UploadButton("Upload an image", elem_id="upload", size="sm")
                notice = gr.HTML(elem_id="notice")
                gr.HTML(f'<div class="bb bb-dim">{escape(bench.about)}</div>')
            with gr.Column(scale=5, min_width=520), gr.Tabs():
                with gr.Tab("Slider") as slider_tab:
                    eps = gr.Slider(
                        0, bench.most, value=bench.most / 2, step=bench.most / 100, label="epsilon", elem_id="epsilon",
                        info="the largest change of a pixel; images range from 0 to 1", buttons=[],
                    )  # fmt: skip
                    ways = [(text, name) for name, text in compute.WAYS.items()]
                    way = gr.Dropdown(ways, value="fgsm", label="How the change is made", elem_id="way")
                    stage = gr.HTML(show(None, nets[0], targets[0], "fgsm", bench.most / 2), elem_id="stage")
                with gr.Tab("Query attack") as query_tab:
                    gr.HTML(f'<div class="bb">{QUERY}</div>')
                    with gr.Row():
                        name = gr.Dropdown(hunt.names(), value="square", label="Attack", elem_id="attack")
                        radius = gr.Slider(
                            0.01, max(0.3, bench.reach), value=round(bench.reach, 3), step=0.001, label="eps",
                            elem_id="radius", buttons=[],
                        )  # fmt: skip
                    with gr.Row():
                        budget = gr.Number(250, label="Budget, queries", precision=0, minimum=1, elem_id="budget")
                        seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
                        pace = gr.Dropdown(list(PACES), value="20 queries a second", label="Pace", elem_id="pace")
                    with gr.Row():
                        go = gr.Button("Attack", variant="primary", elem_id="go")
                        stop = gr.Button("Stop", variant="stop", elem_id="halt")
                    progress = gr.HTML(elem_id="progress")
                with gr.Tab("Loss and tangent") as taylor_tab:
                    gr.HTML(f'<div class="bb">{TAYLOR}</div>')
                    with gr.Row():
                        loss = gr.Dropdown(LOSSES, value=LOSSES[0], label="Loss", elem_id="loss")
                        far = gr.Dropdown(FAR, value=FAR[1], label="Up to eps", elem_id="far")
                    curve = gr.HTML(elem_id="curve")
                with gr.Tab("Decision regions") as regions_tab:
                    gr.HTML(f'<div class="bb">{REGIONS}</div>')
                    walk = gr.Dropdown(FAR, value=FAR[1], label="Up to eps", elem_id="walk")
                    strips = gr.HTML(elem_id="strips")
                with gr.Tab("Saved run") as run_tab:
                    with gr.Row():
                        folder = gr.Dropdown(
                            saved.found(runs), value=None, label="Folder that a verb of blackbox wrote: choose, or type a path",
                            allow_custom_value=True, elem_id="folder", scale=4,
                        )  # fmt: skip
                        open_ = gr.Button("Show", elem_id="open", scale=1)
                    story = gr.HTML(elem_id="story")

        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        seen: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
        # straight to the function, past the queue; while one redraw runs, of all later positions only the last is kept
        gr.on(
            [eps.change], clear(show), [shot, surrogate, target, way, eps], stage, trigger_mode="always_last",
            queue=False, **hidden,
        )  # fmt: skip
        gr.on(
            [each.change for each in (shot, view, surrogate, target, way, loss, far, walk)], clear(refresh),
            [view, shot, surrogate, target, way, eps, loss, far, walk], [stage, curve, strips],
            trigger_mode="always_last", **seen,
        )  # fmt: skip
        for tab in (slider_tab, query_tab, taylor_tab, regions_tab, run_tab):
            tab.select(lambda label=tab.label: label, None, view, **hidden)
        thumbnails.select(clear(choose), None, [shot, notice], **hidden)
        file.upload(clear(receive), [shot, file], [shot, notice], **seen)
        asked = [shot, surrogate, target, name, radius, budget, seed, pace]
        go.click(attack, asked, progress, concurrency_limit=4, **hidden)
        stop.click(halt, None, None, queue=False, **hidden)
        page.unload(halt)
        run_tab.select(lambda: gr.Dropdown(choices=saved.found(runs)), None, folder, **hidden)
        gr.on([open_.click, folder.change], load, folder, story, **seen)
    return page


def _ours(error: Exception) -> bool:
    return str(error).startswith("Expected") or type(error).__name__ == "TargetError"


def _sentence(error: Exception) -> str:
    """What to tell a visitor: the package's own sentences as they are."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text if _ours(error) else f"Unexpected {type(error).__name__}: {text}"


def _name(bench: Bench, shot: Shot) -> str:
    return f"{shot.name}: {_label(bench, shot)}"


def _label(bench: Bench, shot: Shot) -> str:
    return "class unknown" if shot.label is None else f"“{draw.classname(bench, shot.label)}”"


def _thumbnail(shot: Shot) -> Any:
    from PIL import Image

    array = draw.pixels(shot.image)
    made = Image.fromarray(array)
    few = max(array.shape[:2]) <= 64
    scale = max(1, 96 // max(array.shape[:2])) if few else 1
    return made.resize((made.width * scale, made.height * scale), Image.Resampling.NEAREST) if scale > 1 else made
