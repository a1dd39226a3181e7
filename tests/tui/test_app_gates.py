"""The tabs Gates, Budget and Structure of the run screen: what is chosen, while it happens and afterwards."""

import json
from dataclasses import asdict

import pytest
from scripted import BACKBONE, BUDGET, candidates, p_at

from core.run.events import EventWriter, Gates, Phase, Space, Started, Step
from core.run.selection import fill, select
from core.run.spaces import inline_space
from core.run.structure import Candidate
from s3tui.tui.panes.budget import BudgetPane
from s3tui.tui.panes.gates import GatesPane
from s3tui.tui.panes.structure import StructurePane
from s3tui.tui.screens.run import Run
from s3tui.tui.widgets.grid import Grid
from s3tui.tui.widgets.heatmap import HeatMap
from s3tui.tui.widgets.message import MessageLines

SPACE = candidates()
COUNTS = [c.parameters for c in SPACE]


def chosen_at(step, steps=40, space=SPACE):
    return set(select(p_at(step, steps, space), [c.parameters for c in space], BUDGET, "first-fit"))


async def look(app, name, tab, kind):
    """Open a tab of a run; its pane, once the run is read."""
    app.app.push_screen(Run(name))
    await app.until(lambda: app.app.screen.is_composed)
    await app.press(tab)
    return await app.until(lambda: pane if isinstance(pane := app.app.screen.pane, kind) and pane.run else None)


async def gates(app, name="s/one"):
    pane = await look(app, name, "2", GatesPane)
    await app.until(lambda: pane.history.frames and len(pane.choices) == len(pane.history.frames))
    return pane


def marked(pane):
    return set(pane.query_one(HeatMap).marks)


def mid_search(script, name, chosen_from, p, order=None, budget=BUDGET, **changes):
    """A run that is paused in mid-search, after some gates."""
    directory = script.queued(name, "held", budget=budget, **changes)
    writer = EventWriter(directory.events)
    writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
    rows = [asdict(c) for c in chosen_from]
    writer.write(Space(rows, sum(row["parameters"] for row in rows), BACKBONE, 0, budget))
    writer.write(Phase("search", 40))
    writer.write(Step("search", 1, 1.0, 1.0, 1e-3, selected=0))
    writer.write(Gates(1, p, order))
    writer.close()


@pytest.mark.parametrize("order", [None, list(range(20, 0, -1))], ids=["in the search", "in the cut"])
async def test_a_cut_by_the_network_is_said_to_come_and_then_shown(script, opened, order):
    p = p_at(1, 40, SPACE)
    search = {"max_steps": 40, "selection": "perturbation"}
    mid_search(script, "s/one", SPACE, p, order, search=search)
    chosen = chosen_at(1) if order is None else set(fill(order, COUNTS, BUDGET))
    async with opened() as app:
        for tab, kind in (("3", BudgetPane), ("4", StructurePane)):
            pane = await look(app, "s/one", tab, kind)
            await app.until(lambda pane=pane: pane.selected == chosen)
            await app.until(lambda: app.shows("perturbation needs the network") == (order is None))


RANKS = tuple(
    Candidate("attn.q", "encoder", 0, "encoder.0.q", f"lora(rank={rank})", 64 * rank, "lora(rank=[1, 2, 4])")
    for rank in (1, 2, 4)
)


async def test_of_alternatives_one_is_selected_as_the_run_selects(script, opened):
    space = inline_space("ranks", {"attn.q": ["lora(rank=[1, 2, 4])"]})
    mid_search(script, "s/one", RANKS, [0.5, 0.3, 0.2], budget=130, space=space)
    async with opened() as app:
        pane = await look(app, "s/one", "3", BudgetPane)
        await app.until(lambda: pane.selected is not None)
        assert pane.selected == {0}
        await app.until(lambda: app.shows("1 of 3 would be selected now", "64 of 130 parameters", "first-fit"))


async def test_bipeft_selects_by_its_order_and_not_by_p(script, opened):
    p = [0.9 if i < 10 else 0.1 for i in range(len(SPACE))]
    order = list(reversed(range(20)))
    mid_search(script, "s/one", SPACE, p, order, method="bipeft")
    chosen = set(fill(order, COUNTS, BUDGET))
    assert chosen != set(select(p, COUNTS, BUDGET, "first-fit"))
    async with opened() as app:
        pane = await look(app, "s/one", "3", BudgetPane)
        await app.until(lambda: pane.selected == chosen)
        await app.until(lambda: app.shows(f"{len(chosen)} of {len(SPACE)} would be selected now", "by sensitivity"))
        out = next(i for i in order if i not in chosen)
        rows = pane.query_one("#cut", Grid).rows
        assert rows[[row.key for row in rows].index("out") + 1].key == str(out)


async def test_gates_of_bipeft_without_their_order_select_nothing(script, opened):
    mid_search(script, "s/one", SPACE, p_at(1, 40, SPACE), method="bipeft")
    async with opened() as app:
        pane = await gates_of_old(app)
        assert pane.selected is None
        assert not marked(pane)
        await app.press("4")
        await app.until(lambda: app.shows("this run did not log its sensitivity"))


async def gates_of_old(app):
    pane = await look(app, "s/one", "2", GatesPane)
    await app.until(lambda: app.shows("p after step 1"))
    return pane


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("bipeft", "logged any gates"),
        ("s3", "logged any gates"),
        ("random", "searches nothing"),
        ("full", "searches nothing"),
    ],
)
async def test_only_a_method_that_searches_nothing_is_said_to_have_no_gates(script, opened, method, words):
    script.queued("s/one", "held", method=method)
    async with opened() as app:
        await look(app, "s/one", "2", GatesPane)
        await app.until(lambda: app.shows(words))


async def test_the_map_shows_p_of_every_candidate_and_brackets_the_structure(script, opened):
    script.finished("s/one")
    async with opened() as app:
        pane = await gates(app)
        assert list(pane.heatmap.values) == pytest.approx(p_at(40, 40, SPACE))
        assert marked(pane) == chosen_at(40)
        assert app.shows("attn.q LoRA", "norm.attn LNFit", "E0", "E5", "p after step 40", "[ ] selected")


async def test_the_candidate_under_the_cursor_is_told_in_full(script, opened):
    script.finished("s/one")
    async with opened() as app:
        pane = await gates(app)
        await app.press("down", "right", "right")
        await app.until(lambda: "E2.attn.q BitFit" in pane.query_one(MessageLines).plain)
        told, index = pane.query_one(MessageLines).plain, pane.heatmap.cursor
        assert SPACE[index].name == "E2.attn.q bitfit"
        p = p_at(40, 40, SPACE)
        rank = sorted(range(len(p)), key=lambda i: -p[i]).index(index) + 1
        assert f"p {p[index]:.4f}" in told
        assert f"place by p {rank} of {len(SPACE)}" in told
        assert "parameters 30" in told
        # alpha = zeta + beta logit p; the scripted shift is 0.2.
        assert f"alpha {pane.frame.alpha(index, 1.0):+.3f}" in told
        assert ("not selected" not in told) == (index in chosen_at(40))


async def test_time_can_be_scrubbed_by_keys_and_space_follows_the_end_again(script, opened):
    script.finished("s/one")
    async with opened() as app:
        pane = await gates(app)
        await app.press("comma", "comma")
        assert pane.frame.step == 38
        assert app.shows("p after step 38", "step 38 of 40")
        await app.press(*["less_than_sign"] * 12)
        assert pane.frame.step == 1
        assert list(pane.heatmap.values) == pytest.approx(p_at(1, 40, SPACE))
        assert marked(pane) == chosen_at(1) != chosen_at(40)
        await app.press("full_stop")
        assert pane.frame.step == 2
        await app.press("space")
        assert pane.frame.step == 40


async def test_a_click_on_the_time_and_on_the_map_goes_there(script, opened):
    script.finished("s/one")
    async with opened() as app:
        pane = await gates(app)
        scrubber = pane.query_one("Scrubber")
        start, width = scrubber._bar
        await app.pilot.click(scrubber, offset=(1 + start + width // 2, 0))
        assert abs(pane.frame.step - 20) <= 1
        heatmap = pane.heatmap
        await app.pilot.click(heatmap, offset=(1 + heatmap._layout.names + heatmap._layout.starts[3] + 1, 1 + 1 + 2))
        assert SPACE[heatmap.cursor].name == "E3.attn.v lora(rank=1)"


async def test_playing_goes_through_the_search_and_stops_at_its_end(script, opened):
    script.finished("s/one", steps=60)
    async with opened() as app:
        pane, seen = await gates(app), set()
        await app.press("a")
        await app.until(lambda: seen.add(pane.frame.step) or app.shows("playing", "p after step"))
        await app.until(lambda: seen.add(pane.frame.step) or (pane.frame.step == 60 and app.shows("  latest")))
        assert len(seen) > 2
        assert min(seen) < 30


async def test_a_living_search_is_followed_unless_one_looks_back(script, opened):
    script.living("s/one", until=12)
    async with opened() as app:
        pane = await gates(app)
        assert pane.frame.step == 12
        await app.until(lambda: marked(pane) == chosen_at(12))
        script.advance("s/one", 3)
        await app.until(lambda: pane.frame.step == 15 and marked(pane) == chosen_at(15))
        await app.press("comma")
        script.advance("s/one", 5)
        await app.until(lambda: pane.history.frames[-1].step == 20)
        assert pane.frame.step == 14
        assert app.shows("step 14 of 20")


async def test_a_large_space_scrolls_under_names_that_stay(script, opened):
    script.finished("s/one", steps=3, layers=48)
    async with opened((80, 24)) as app:
        pane = await gates(app)
        assert not app.shows("E47")
        await app.press("end")
        await app.until(lambda: app.shows("E47", "attn.q LoRA"))
        assert not app.shows("E10 ")
        assert SPACE[0].site in pane.query_one(MessageLines).plain


@pytest.mark.parametrize("tab", ["2", "3", "4"])
async def test_no_size_is_too_small(script, opened, tab):
    script.finished("s/one", layers=24)
    kinds = {"2": GatesPane, "3": BudgetPane, "4": StructurePane}
    async with opened((80, 24)) as app:
        pane = await look(app, "s/one", tab, kinds[tab])
        for size in ((40, 10), (20, 5), (200, 60), (40, 10), (120, 40)):
            await app.pilot.resize_terminal(*size)
            await app.press("v", "right", "down", "end")
        assert app.shows("s/one", "finished")
        assert pane.is_attached


async def test_without_colours_the_map_is_read_in_glyphs(script, opened, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    script.finished("s/one")
    async with opened() as app:
        pane = await gates(app)
        await app.until(lambda: any(glyph in app.text for glyph in "░▒▓█"))
        row = next(line for line in app.text.splitlines() if line.startswith("│attn.q LoRA"))
        assert row.count("[") >= sum(SPACE[i].site == "attn.q" and "lora" in SPACE[i].delta for i in marked(pane))


async def test_a_run_without_a_search_says_so_and_shows_what_it_trains(script, opened):
    directory = script.finished("s/fixed", method="fixed", budget=None)
    lines = [line for line in directory.events.read_text().splitlines() if '"gates"' not in line]
    directory.events.write_text("\n".join(lines) + "\n")
    async with opened() as app:
        await look(app, "s/fixed", "2", GatesPane)
        await app.until(lambda: app.shows("searches nothing"))
        await app.press("4")
        pane = await app.until(lambda: pane if isinstance(pane := app.app.screen.pane, StructurePane) else None)
        await app.until(lambda: len(pane.query_one(Grid).rows) == len(chosen_at(40)))


async def test_the_budget_tells_what_is_selected_its_shares_and_who_is_near_the_cut(script, opened):
    script.living("s/one", until=12)
    async with opened() as app:
        pane = await look(app, "s/one", "3", BudgetPane)
        chosen = chosen_at(12)
        await app.until(
            lambda: f"{len(chosen)} of {len(SPACE)} would be selected now" in pane.query_one(MessageLines).plain
        )
        lines = pane.query_one(MessageLines).plain
        assert f"{sum(COUNTS[i] for i in chosen):,} of {BUDGET} parameters" in lines
        assert "shift +0.200" in lines
        keys = [row.key for row in pane.query_one("#cut", Grid).rows]
        inside = [int(key) for key in keys[1 : keys.index("out")]]
        outside = [int(key) for key in keys[keys.index("out") + 1 :]]
        assert set(inside) <= chosen
        assert not set(outside) & chosen
        p = p_at(12, 40, SPACE)
        assert p[inside[-1]] == min(p[i] for i in chosen)
        rows = {
            row.key: "".join(part for part, _ in row.cells["count"])
            for row in pane.query_one("#shares", Grid).rows[1:4]
        }
        assert rows["delta LoRA"] == f"{sum('lora' in SPACE[i].delta for i in chosen)}/12"
        assert pane.figure_on_screen.level == (BUDGET, "budget")


async def structure(app, name="s/one"):
    pane = await look(app, name, "4", StructurePane)
    await app.until(lambda: pane.selected is not None and pane.query_one(Grid).rows)
    return pane


async def test_the_structure_is_a_table_and_a_map(script, opened):
    script.finished("s/one")
    async with opened() as app:
        pane = await structure(app)
        chosen = chosen_at(40)
        assert [row.key for row in pane.query_one(Grid).rows] == [SPACE[i].name for i in sorted(chosen)]
        assert marked(pane) == chosen
        await app.until(lambda: pane.query_one("#steady").figure.traces)
        assert pane.query_one("#steady").figure.traces[0].curve.y[-1] == 1.0


async def test_two_structures_are_compared(script, opened):
    script.finished("s/one")
    other = script.finished("s/two", seed=3)
    data = json.loads(other.structure.read_text())
    first, *_, last = sorted(chosen_at(40))
    data["candidates"][first]["selected"] = False
    new = next(i for i in range(len(SPACE)) if i not in chosen_at(40))
    data["candidates"][new]["selected"] = True
    other.structure.write_text(json.dumps(data))
    async with opened() as app:
        pane = await structure(app)
        await app.press("f")
        await app.press("down", "down", "enter")
        await app.until(lambda: pane.other is not None)
        both = len(chosen_at(40)) - 1
        told = pane.query_one(MessageLines).plain
        assert f"against s/two: {both} in both, 1 only here, 1 only there, Jaccard {both / (both + 2):.2f}" in told
        marks = pane.query_one(HeatMap).marks
        assert (marks[first], marks[new], marks[last]) == ("< ", " >", "[]")


async def test_seeds_of_the_same_settings_are_averaged(script, opened):
    for seed in range(3):
        script.finished(f"s/seed={seed}", seed=seed)
    script.finished("s/other", seed=0, budget=700)
    async with opened() as app:
        pane = await structure(app, "s/seed=1")
        await app.press("f")
        await app.press("down", "enter")
        await app.until(lambda: pane.other is not None)
        assert "against the mean over 3 seeds" in pane.query_one(MessageLines).plain
        assert "the seeds among themselves 1.00" in pane.query_one(MessageLines).plain


async def test_a_run_without_a_structure_is_no_rival_and_says_why(script, opened):
    script.finished("s/one")
    script.queued("s/waits", wanted="held", budget=700)
    async with opened() as app:
        pane = await structure(app)
        await app.press("f")
        await app.press("down", "enter")
        await app.until(lambda: any("s/waits has chosen no structure yet" in n.message for n in app.app._notifications))
        assert pane.other is None
