"""Who may play, under which names, and with which images: what the host looks at before a target is opened, or asked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

import numpy as np

from blackbox.league import source as sources
from blackbox.league.material import Material
from blackbox.serving import Refused


def check_player(players: Mapping[str, str] | None, player: str, token: str) -> None:
    """Is this a player's name, and one whom the host has registered, with their token? players: tokens by name; None lets anybody in.

    Raises:
        Refused: it is not.
    """
    if not player or len(player) > 64 or not player.isprintable():
        raise Refused(400, f"Expected a name of at most 64 letters for the player, but it was {player!r:.80}.")
    if players is None:
        return
    same = secrets.compare_digest(_digest(players.get(player, "")), _digest(token))
    if player not in players or not same:
        raise Refused(403, f"Expected a player that the host has registered, with their token, but it was {player!r}.")


def _digest(token: str) -> bytes:
    """Of one length for all tokens, and of any text, such as JSON can bring."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def check_attack(attack: str, source: str, parameters: str) -> None:
    """May an attack be entered under this name? Raises: Refused."""
    if attack != " ".join(attack.split()) or not attack.isprintable() or not 0 < len(attack) <= 200:
        raise Refused(400, f"Expected a name of at most 200 letters for the attack, with single spaces, but it was {attack!r:.80}.")
    for fault in sources.misnamed(attack, source, parameters):
        raise Refused(403, fault)


def check_images(m: Material, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which images [m, \\*shape] uint8 are inside threat and mask, [m] bool. Raises: Refused, they are no such images, or one is where
    the rules let none be."""
    if (images.dtype, images.shape[1:]) != (m.levels.dtype, m.levels.shape[1:]):
        wanted, came = (f"{each.dtype.str} of shape {each.shape[1:]}" for each in (m.levels, images))
        raise Refused(400, f"Expected images or rows of type {wanted}, but they were of type {came}. None was answered.")
    kept, inside = m.unmasked(images, rows), m.inside(images, rows)
    for i, ok in enumerate(inside if m.scenario.queries == "inside" else kept):
        if not ok:
            what = "an image that is changed only where the mask lets it" if m.table is None else "what a row of the table may be"
            what = f"{'an image' if m.table is None else 'a row'} inside {m.scenario.threat}" if kept[i] else what
            raise Refused(403, f"Expected {what}, but row {i}, about image {int(m.ids[rows[i]])}, is not. None was answered.")
    return inside
