"""The card of a converted model, whatever its task."""

import json
from pathlib import Path

from edge.card import Card, card_path
from edge.model import load_model
from edge.polarity import PolarityCard, load_polarity


def checked_card(model: Path) -> Card | PolarityCard:
    """The card of a .tflite that the station would load, as picker or as polarity model. Raises what
    `load_model` and `load_polarity` raise."""
    return load_polarity(model).card if _task(model) == "polarity" else load_model(model).card


def _task(model: Path) -> object:
    """What the card says; None where it says nothing, which whoever loads the model tells."""
    try:
        fields = json.loads(card_path(model).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return fields.get("task") if isinstance(fields, dict) else None
