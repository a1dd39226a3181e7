from s3tui.devices.leases import Leases, release
from s3tui.devices.placement import Gpu, Lease, Place
from s3tui.runs.records.queue import Resources

GPU = Gpu("GPU-1234-ab/c", index=0)


def test_cores_are_leased_one_by_one_and_come_back(tmp_path):
    leases = Leases(tmp_path / "leases")
    first = leases.take("a", Place(2), Resources(threads=2), cores=3)
    assert (len(first), leases.cores()) == (2, 2)
    assert leases.take("b", Place(2), Resources(threads=2), cores=3) is None
    assert leases.cores() == 2
    release(first)
    assert leases.cores() == 0


def test_a_gpu_is_leased_by_share_and_its_holders_are_known(tmp_path):
    leases = Leases(tmp_path / "leases")
    asked = Resources(per_gpu=2, memory=5)
    held = [leases.take(name, Place(1, (GPU,)), asked, cores=1) for name in "ab"]
    assert leases.gpus() == {GPU.key: [Lease("a", 2, 5), Lease("b", 2, 5)]}
    assert leases.take("c", Place(1, (GPU,)), asked, cores=1) is None
    release(held[0])
    assert leases.gpus() == {GPU.key: [Lease("b", 2, 5)]}


def test_a_damaged_lease_lets_nobody_in_beside_it(tmp_path):
    leases = Leases(tmp_path / "leases")
    held = leases.take("a", Place(1, (GPU,)), Resources(per_gpu=3), cores=1)
    next((tmp_path / "leases").iterdir()).write_text("{")
    assert leases.gpus() == {GPU.key: [Lease("a run", 1)]}
    release(held)


def test_several_gpus_are_leased_together_or_not_at_all(tmp_path):
    leases = Leases(tmp_path / "leases")
    other = Gpu("GPU-5678", index=1)
    held = leases.take("a", Place(1, (GPU,)), Resources(), cores=1)
    assert leases.take("b", Place(1, (other, GPU)), Resources(gpus=2), cores=1) is None
    assert leases.gpus() == {GPU.key: [Lease("a", 1)]}
    release(held)
    both = leases.take("b", Place(1, (other, GPU)), Resources(gpus=2), cores=1)
    assert leases.gpus() == {GPU.key: [Lease("b", 1)], other.key: [Lease("b", 1)]}
    release(both)
    assert leases.gpus() == {}
