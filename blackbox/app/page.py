"""The layout: which control stands where, and which function answers it. Everything that is computed is computed elsewhere."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from blackbox.app import compute, draw, hunt, plots, saved, upload
from blackbox.app.bench import Bench, Shot

PACES = {"as fast as it goes": 0.0, "100 queries a second": 100.0, "20 queries a second": 20.0}
LOSSES = ["cross-entropy", "margin"]
FAR = [0.1, 0.3, 1.0]
INTRO = (
    "The sign of a surrogate's gradient, times eps, is added to an image. How the surrogate sees it, and how a target sees it "
    "whose gradients nobody has, changes as you drag the slider."
)


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

    def taylor(shot: Shot | None, surrogate: str, loss: str, far: float) -> str:
        held = taken(shot)
        ray = compute.ray(bench, held, surrogate, float(far), loss)
        leave = int(ray.label[0, 0]) if held.label is None else held.label
        return plots.svg(plots.taylor(bench, held, ray, surrogate, loss, leave), "bb-taylor", "Loss and tangent against eps")

    def regions(shot: Shot | None, surrogate: str, target: str, far: float) -> tuple[str, str]:
        held = taken(shot)
        made = compute.crossing(bench, held, surrogate, target, float(far))
        picture = plots.svg(plots.crossing(bench, held, made, surrogate, target), "bb-walk", "Decision regions along the ray")
        return picture, plots.regions_table(bench, made, surrogate, target)

    def load(folder: str) -> str:
        try:
            return draw.run(saved.opened(folder))
        except (ValueError, OSError) as error:
            return draw.told(_sentence(error), wrong=True)

    with gr.Blocks(title="blackbox", analytics_enabled=False, fill_width=False) as page:
        shot = gr.State(None)
        gr.HTML(f'<div class="bb"><h2 style="margin:.2rem 0">blackbox</h2>{INTRO}</div>')
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                surrogate = gr.Dropdown(nets, value=nets[0], label="Surrogate (gradients known)", elem_id="surrogate")
                target = gr.Dropdown(targets, value=targets[0], label="Hidden target (answers only)", elem_id="target")
                thumbnails = gr.Gallery(
                    [(_thumbnail(s), _label(bench, s)) for s in bench.shots], label="Images", columns=4, height=310,
                    allow_preview=False, object_fit="contain", elem_id="images", format="png", buttons=[], interactive=False,
                    selected_index=0,
                )  # fmt: skip
                file = gr.UploadButton("Upload an image", elem_id="upload", size="sm")
                notice = gr.HTML(elem_id="notice")
                gr.HTML(f'<div class="bb bb-dim">{bench.about}</div>')
            with gr.Column(scale=5, min_width=520), gr.Tabs():
                with gr.Tab("Slider"):
                    eps = gr.Slider(
                        0, bench.most, value=bench.most / 2, step=bench.most / 100, label="epsilon", elem_id="epsilon",
                        info="largest change of a pixel; images range from 0 to 1",
                    )  # fmt: skip
                    way = gr.Dropdown([(text, name) for name, text in compute.WAYS.items()], value="fgsm", label="How the change is made", elem_id="way")
                    stage = gr.HTML(value=lambda: show(None, nets[0], targets[0], "fgsm", bench.most / 2), elem_id="stage")
                with gr.Tab("Query attack", id="query"):
                    gr.HTML('<div class="bb">No gradients at all: the attack sees the target\'s answers, and each image it asks about is a query.</div>')
                    with gr.Row():
                        name = gr.Dropdown(hunt.names(), value="square", label="Attack", elem_id="attack")
                        radius = gr.Slider(0.01, max(0.3, bench.reach), value=round(bench.reach, 3), step=0.001, label="eps", elem_id="radius")
                        budget = gr.Number(500, label="Budget, queries", precision=0, minimum=1, elem_id="budget")
                        seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
                        pace = gr.Dropdown(list(PACES), value="20 queries a second", label="Pace", elem_id="pace")
                    with gr.Row():
                        go = gr.Button("Attack", variant="primary", elem_id="go")
                        stop = gr.Button("Stop", variant="stop", elem_id="halt")
                    progress = gr.HTML(elem_id="progress")
                with gr.Tab("Loss and tangent", id="taylor") as taylor_tab:
                    with gr.Row():
                        loss = gr.Dropdown(LOSSES, value=LOSSES[0], label="Loss", elem_id="loss")
                        far = gr.Dropdown(FAR, value=0.3, label="Up to eps", elem_id="far")
                    curve = gr.HTML(elem_id="curve")
                with gr.Tab("Decision regions", id="regions") as regions_tab:
                    walk = gr.Dropdown(FAR, value=0.3 if bench.ink else 0.1, label="Up to eps", elem_id="walk")
                    strips = gr.HTML(elem_id="strips")
                    table = gr.HTML()
                with gr.Tab("Saved run", id="run") as run_tab:
                    with gr.Row():
                        folder = gr.Dropdown(saved.found(runs), value=None, label="Folder of a run", allow_custom_value=True, elem_id="folder", scale=4)
                        open_ = gr.Button("Show", elem_id="open", scale=1)
                    story = gr.HTML(elem_id="story")

        drawn = {"inputs": [shot, surrogate, target, way, eps], "outputs": stage, "show_progress": "hidden", "queue": False}
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        gr.on([eps.input, eps.change], clear(show), trigger_mode="always_last", api_visibility="private", **drawn)
        gr.on(
            [shot.change, surrogate.change, target.change, way.change], clear(show), trigger_mode="always_last",
            api_visibility="private", **{**drawn, "show_progress": "minimal"},
        )  # fmt: skip
        thumbnails.select(clear(choose), None, [shot, notice], **quiet)
        file.upload(clear(receive), [shot, file], [shot, notice], api_visibility="private")
        go.click(
            attack, [shot, surrogate, target, name, radius, budget, seed, pace], progress, concurrency_limit=4, **quiet
        )
        stop.click(halt, None, None, queue=False, **quiet)
        page.unload(halt)
        alive = {"trigger_mode": "always_last", "api_visibility": "private", "show_progress": "minimal"}
        gr.on([taylor_tab.select, loss.change, far.change], clear(taylor), [shot, surrogate, loss, far], curve, **alive)
        gr.on([regions_tab.select, walk.change], clear(regions), [shot, surrogate, target, walk], [strips, table], **alive)
        run_tab.select(lambda: gr.Dropdown(choices=saved.found(runs)), None, folder, **quiet)
        gr.on([open_.click, folder.change], load, folder, story, api_visibility="private", show_progress="minimal")
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
