from dataclasses import replace

import pytest

from s3tui.devices.nvml import nvml_gpus
from s3tui.devices.placement import Gpu, Lease, Machine, NoRoom, Place, place, visible
from s3tui.runs.records.queue import Resources

GB = 10**9
PARTS = (Gpu("MIG-xxxx"), Gpu("MIG-xyyy"))
THREE = [Gpu("GPU-aaaa"), Gpu("GPU-bbbb", parts=PARTS), Gpu("GPU-cccc")]


@pytest.mark.parametrize(
    ("variable", "uuids"),
    [
        (None, ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]),
        ("", []),
        ("-1", []),
        ("2,0", ["GPU-cccc", "GPU-aaaa"]),
        ("GPU-bb", ["GPU-bbbb"]),
        ("0,7,1", ["GPU-aaaa"]),
        ("0,,1", ["GPU-aaaa"]),
        (",0", []),
        ("0,1,0", []),
        ("GPU-aaaa,GPU-a", []),
        ("99999999999999999999,0", []),
        ("1²,0", []),
        ("NoDevFiles", []),
        ("GPU-zz,GPU-aaaa", []),
        ("GPU-", []),  # which of the three?
        ("0,GPU-bbbb", ["GPU-aaaa"]),
        ("GPU-bbbb,0", ["GPU-bbbb"]),
        ("0,MIG-xxxx", ["GPU-aaaa"]),
        ("MIG-xx", ["MIG-xxxx"]),
        ("MIG-xyyy,MIG-xxxx", ["MIG-xyyy", "MIG-xxxx"]),
        ("MIG-x", []),
        ("MIG-abc", []),
        (" 2 , 0 ", ["GPU-cccc", "GPU-aaaa"]),
    ],
)
def test_gpus_are_seen_as_cuda_sees_them(variable, uuids):
    assert [gpu.uuid for gpu in visible(THREE, variable)] == uuids


@pytest.mark.parametrize(
    "variable", ["MIG-abc", "MIG-GPU-abc/1/0", "GPU-abc", "0,MIG-x", "-1", "NoDevFiles", "", "0", "0,0", "7"]
)
def test_where_there_is_no_gpu_none_is_seen_whatever_the_variable_says(variable):
    assert visible([], variable) == []


@pytest.mark.skipif(bool(nvml_gpus()), reason="this machine has a GPU")
def test_doctor_shows_no_gpu_that_is_not_there(s3tui):
    _, out, _ = s3tui("doctor", CUDA_VISIBLE_DEVICES="MIG-abc", HF_HUB_OFFLINE="1")
    (line,) = [line for line in out.splitlines() if "gpus" in line]
    assert line.split(maxsplit=2) == [
        "-", "gpus", "none that NVML shows and CUDA_VISIBLE_DEVICES='MIG-abc' leaves; runs use the CPU"
    ]  # fmt: skip


def gpu(index, free=79.0, processes=()):
    return Gpu(f"GPU-{index}", "H100", 80 * GB, int(free * GB), 0, 30, tuple(processes), index)


def machine(*gpus, cores=8, leases=None, leased_cores=0, ours=()):
    keyed = {gpus[index].key: held for index, held in (leases or {}).items()}
    return Machine(gpus, cores, keyed, leased_cores, frozenset(ours))


def gpu_of(device, asked, there):
    room = place(device, asked, there)
    assert isinstance(room, Place), room
    (gpu,) = room.gpus
    return gpu.index


def reason(device, asked, there):
    room = place(device, asked, there)
    assert isinstance(room, NoRoom), room
    return room.reason


ONE = Resources(gpus=1)
BIG = replace(ONE, memory=20 * GB)


def test_runs_spread_out_over_the_gpus_before_they_wait():
    there = machine(gpu(0), gpu(1), leases={0: [Lease("cb/seed=3")]})
    assert gpu_of("auto", ONE, there) == 1
    full = machine(gpu(0), gpu(1), leases={0: [Lease("cb/seed=3")], 1: [Lease("rte")]})
    assert reason("auto", ONE, full) == "waiting for a GPU: 0 is leased to cb/seed=3, 1 is leased to rte"


def test_the_reason_names_what_each_gpu_lacks():
    there = machine(gpu(0, free=3.1), gpu(1), leases={1: [Lease("cb/seed=3")]})
    assert reason("auto", BIG, there) == ("waiting for 20 GB on a GPU: 0 has 3.1 GB free, 1 is leased to cb/seed=3")


def test_several_runs_share_a_gpu_only_where_all_of_them_say_so():
    two = replace(ONE, per_gpu=2)
    shared = machine(gpu(0), leases={0: [Lease("a", per_gpu=2)]})
    assert gpu_of("auto", two, shared) == 0
    assert "leased to a" in reason("auto", ONE, shared)
    assert "leased to a" in reason("auto", two, machine(gpu(0), leases={0: [Lease("a", per_gpu=1)]}))
    full = machine(gpu(0), leases={0: [Lease("a", per_gpu=2), Lease("b", per_gpu=2)]})
    assert "leased to a and b" in reason("auto", two, full)


def test_memory_that_was_promised_is_not_given_twice():
    asked = replace(ONE, memory=50 * GB, per_gpu=2)
    just_begun = machine(gpu(0, free=79), leases={0: [Lease("a", 2, memory=50 * GB)]})
    assert "0 has 30 GB free" in reason("auto", asked, just_begun)


def test_gpus_of_other_people_are_left_alone_unless_told():
    busy = machine(gpu(0, processes=[4711]))
    assert reason("auto", ONE, busy) == "waiting for a GPU: 0 is used by process 4711"
    assert gpu_of("auto", replace(ONE, use_busy_gpus=True), busy) == 0
    ours = machine(gpu(0, processes=[4711]), ours=[4711])
    assert gpu_of("auto", ONE, ours) == 0


def test_memory_in_use_tells_of_processes_that_a_container_hides():
    assert reason("auto", ONE, machine(gpu(0, free=60))) == "waiting for a GPU: 0 has 20 GB in use by others"
    assert gpu_of("auto", replace(ONE, use_busy_gpus=True), machine(gpu(0, free=60))) == 0


def test_a_run_on_several_gpus_waits_until_as_many_have_room():
    two = replace(ONE, gpus=2)
    room = place("auto", two, machine(gpu(0), gpu(1), gpu(2), leases={0: [Lease("a")]}))
    assert [gpu.index for gpu in room.gpus] == [1, 2]
    assert str(room) == "gpus 1, 2"
    assert room.environment("auto")["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    waiting = place("auto", two, machine(gpu(0), gpu(1), leases={0: [Lease("a")]}))
    assert waiting == NoRoom("waiting for 2 GPUs: 0 is leased to a")
    assert place("auto", two, machine(gpu(0))) == NoRoom("waiting for 2 GPUs: there is 1", ever=False)


@pytest.mark.parametrize(
    ("device", "asked", "there", "ever"),
    [
        ("auto", ONE, machine(), False),
        ("cuda:3", ONE, machine(gpu(0)), False),
        ("auto", replace(ONE, memory=100 * GB), machine(gpu(0)), False),
        ("auto", replace(ONE, memory=70 * GB), machine(gpu(0, free=60)), True),
    ],
)
def test_what_can_never_run_here_is_told_from_what_has_to_wait(device, asked, there, ever):
    assert place(device, asked, there).ever is ever


def test_a_gpu_asked_for_by_number_is_that_one_and_sees_all():
    there = machine(gpu(0), gpu(1))
    assert gpu_of("cuda:1", Resources(), there) == 1
    room = place("cuda:1", Resources(), there)
    assert "CUDA_VISIBLE_DEVICES" not in room.environment("cuda:1")
    assert room.environment("auto")["CUDA_VISIBLE_DEVICES"] == "GPU-1"


def test_a_run_for_the_cpu_leaves_the_gpus_alone():
    there = machine(gpu(0), leases={0: [Lease("a")]})
    assert place("cpu", Resources(threads=2), there) == Place(2)
    room = place("auto", Resources(gpus=0), there)
    assert room.gpus == ()
    assert room.environment("auto")["CUDA_VISIBLE_DEVICES"] == ""


def test_without_gpus_every_run_that_insists_on_none_goes_to_the_cpu():
    assert place("auto", Resources(threads=2), machine()) == Place(2)
    assert place("cuda", Resources(threads=2), machine()) == Place(2)


@pytest.mark.parametrize(
    ("cores", "leased", "threads", "room"),
    [(2, 0, 1, 1), (2, 1, 1, 1), (2, 2, 1, None), (2, 0, 4, 2), (16, 12, 4, 4), (7, 4, 4, None)],
)
def test_cores_are_shared_out_by_threads(cores, leased, threads, room):
    found = place("auto", Resources(threads=threads), machine(cores=cores, leased_cores=leased))
    assert (
        found == Place(room)
        if room
        else found.reason
        == f"waiting for {threads} {'core' if threads == 1 else 'cores'}: {cores - leased} of {cores} free"
    )


def test_a_worker_gets_the_threads_of_its_place():
    environment = Place(3).environment("auto")
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
