import pytest

from s3tui import devices
from s3tui.devices import Gpu, Slot, Slots, visible

GPUS = [Gpu("GPU-aaaa"), Gpu("GPU-bbbb"), Gpu("GPU-cccc")]


@pytest.mark.parametrize(
    ("variable", "uuids"),
    [
        (None, ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]),
        ("", []),
        ("-1", []),
        ("2,0", ["GPU-cccc", "GPU-aaaa"]),
        ("GPU-bb", ["GPU-bbbb"]),
        ("0,7,1", ["GPU-aaaa"]),
        ("MIG-x", ["MIG-x"]),
    ],
)
def test_gpus_are_seen_as_cuda_sees_them(variable, uuids):
    assert [gpu.uuid for gpu in visible(GPUS, variable)] == uuids


def machine(gpus, cpus):
    return Slots([Slot(f"gpu {i}", 4, GPUS[i]) for i in range(gpus)], [Slot(f"cpu {i}", 4) for i in range(cpus)])


def test_a_gpu_holds_one_run():
    slots = machine(2, 1)
    first, second = slots.take("auto"), slots.take("cuda")
    assert [first.name, second.name] == ["gpu 0", "gpu 1"]
    assert slots.take("auto") is None
    slots.release(first)
    assert slots.take("auto") == first


def test_a_run_for_the_cpu_leaves_the_gpus_alone():
    slots = machine(1, 1)
    assert slots.take("cpu").name == "cpu 0"
    assert slots.take("cpu") is None
    assert slots.take("auto").name == "gpu 0"


def test_a_gpu_asked_for_by_number_is_that_one_and_sees_all():
    slots = machine(2, 1)
    slot = slots.take("cuda:1")
    assert slot.name == "gpu 1"
    assert slots.take("cuda:1") is None
    assert "CUDA_VISIBLE_DEVICES" not in slot.environment("cuda:1")
    assert slot.environment("auto")["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb"


def test_without_gpus_every_run_goes_to_the_cpu():
    slots = machine(0, 2)
    assert [slots.take(device).name for device in ("auto", "cuda:3")] == ["cpu 0", "cpu 1"]


def test_a_worker_gets_the_threads_of_its_slot():
    environment = Slot("cpu 0", 3).environment("auto")
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("cores", "threads", "room"), [(2, 1, 2), (2, 4, 1), (16, 4, 4), (7, 4, 1)])
def test_cores_are_shared_out_by_threads(monkeypatch, cores, threads, room):
    monkeypatch.setattr(devices, "usable_cores", lambda: cores)
    monkeypatch.setattr(devices, "visible_gpus", list)
    assert len(devices.slots(threads).cpus) == room
