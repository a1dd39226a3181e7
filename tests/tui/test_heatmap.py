"""The map of the gates: where candidates stand on it, its colours, its titles."""

import itertools
import math

import pytest

from core.run.structure import Candidate
from s3tui.structures.grid_layout import gate_map, short_deltas
from s3tui.tui.support import colour_scale
from s3tui.tui.widgets.map_layout import heads


def candidate(site, stack, layer, delta="bitfit"):
    return Candidate(site, stack, layer, f"{stack}.{layer}.{site}", delta, 8)


SPACE = (
    candidate("attn.q", "decoder", 0, "lora(rank=1)"), candidate("attn.q", "decoder", 0),
    candidate("norm.final", "encoder", None), candidate("attn.q", "encoder", 10), candidate("attn.q", "encoder", 2),
    candidate("head", "", None), candidate("cross.q", "decoder", 0),
)  # fmt: skip


def test_rows_are_sites_with_deltas_and_columns_are_layers():
    drawn = gate_map(SPACE)
    assert drawn.rows == ("attn.q LoRA", "attn.q BitFit", "cross.q BitFit", "norm.final BitFit", "head BitFit")
    assert drawn.columns == ("E2", "E10", "E", "D0", "head")
    for index, (row, column) in enumerate(drawn.places):
        assert drawn.cells[row][column] == index
    assert sum(cell is not None for row in drawn.cells for cell in row) == len(SPACE)


def test_arguments_are_told_only_where_two_deltas_differ_in_nothing_else():
    assert short_deltas(["lora(rank=1)", "bitfit"]) == {"lora(rank=1)": "LoRA", "bitfit": "BitFit"}
    both = short_deltas(["lora(rank=1)", "lora(rank=4)"])
    assert set(both.values()) == {"LoRA(rank=1)", "LoRA(rank=4)"}


@pytest.mark.parametrize("start", range(len(SPACE)))
def test_every_candidate_can_be_reached_by_the_arrows(start):
    drawn, seen, todo = gate_map(SPACE), {start}, [start]
    while todo:
        at = todo.pop()
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            there = drawn.step(at, down, right)
            if there not in seen:
                seen.add(there)
                todo.append(there)
    assert seen == set(range(len(SPACE)))


def luminance(colour):
    red, green, blue = ((c / 255) ** 2.2 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("colours", "sign"), [(colour_scale.DARK, 1), (colour_scale.LIGHT, -1)])
def test_the_scale_is_ordered_by_lightness_alone(colours, sign):
    light = [sign * luminance(colour) for colour in colours]
    assert all(a < b for a, b in itertools.pairwise(light))
    assert abs(light[-1] - light[0]) > 0.6


def test_known_colours_come_out_of_oklab():
    """White and the primaries of sRGB by their coordinates (Ottosson 2020)."""
    assert colour_scale.oklab_to_rgb(1.0, 0.0, 0.0) == (255, 255, 255)
    assert colour_scale.oklab_to_rgb(0.627955, 0.224863, 0.125846) == (255, 0, 0)
    assert colour_scale.oklab_to_rgb(0.452014, -0.032457, -0.311528) == (0, 0, 255)


def test_marks_can_be_read_on_every_colour():
    for colour in (*colour_scale.DARK, *colour_scale.LIGHT):
        low, high = sorted((luminance(colour), luminance(colour_scale.on(colour))))
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2, level AA


def test_glyphs_take_the_place_of_colours():
    assert [colour_scale.shade(share) for share in (0.0, 0.3, 0.5, 0.8, 1.0)] == ["·", "░", "▒", "▓", "█"]
    assert colour_scale.shade(math.nan) == "·"


def test_titles_do_not_run_into_each_other_and_the_one_of_the_cursor_is_always_there():
    line, (start, end) = heads([("E0", 0), ("E2", 4), ("E4", 8), ("E6", 12)], ("E3", 6), 13)
    assert line == "E0    E3     "
    assert line[start:end] == "E3"
    line, (start, end) = heads([("E10", -2)], ("D23", 40), 8)
    assert line[start:end] == "D23"
    assert line == "     D23"
