"""How many cores a process may use: what its affinity and its cgroup's quota say together."""

import pytest

from kogpt2_chat.machine.cores import library_threads, usable_cores


@pytest.fixture
def cgroups(tmp_path):
    """Writes a machine's cgroup files; gives the two places that are looked at."""

    def write(proc, **files):
        (tmp_path / "proc").write_text(proc, "ascii")
        for name, content in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "ascii")
        return {"proc": tmp_path / "proc", "mount": tmp_path / "cgroup"}

    return write


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("100000 100000", 1),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("max 100000", 64),
        ("6400000 100000", 64),
        ("", 64),
        ("9900000 100000", 64),
    ],
)
def test_a_quota_of_cgroup_v2_bounds_the_cores(cgroups, quota, cores):
    """Rounded up, at least one, never more than the affinity; no quota leaves the affinity."""
    places = cgroups("0::/\n", cpu_dot_max=f"{quota}\n")
    assert usable_cores(**places, affinity=64) == cores


def test_the_least_quota_on_the_way_up_holds(cgroups):
    """A slice above the unit may allow less than the unit itself."""
    places = cgroups("0::/a.slice/b.service\n", **{
        "a.slice__b.service__cpu_dot_max": "max 100000\n", "a.slice__cpu_dot_max": "300000 100000\n"
    })  # fmt: skip
    assert usable_cores(**places, affinity=16) == 3


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpuacct,cpu", "cpu"])
def test_a_quota_of_cgroup_v1_bounds_the_cores(cgroups, controllers):
    """Also where /proc names the host's path and the container sees only its own root."""
    places = cgroups(f"5:memory:/x\n1:{controllers}:/docker/abc\n0::/\n", **{
        f"{controllers}__cpu.cfs_quota_us": "200000\n", f"{controllers}__cpu.cfs_period_us": "100000\n"
    })  # fmt: skip
    assert usable_cores(**places, affinity=16) == 2


def test_no_quota_of_cgroup_v1_is_minus_one(cgroups):
    """And other controllers' lines say nothing of cores."""
    places = cgroups("2:cpuacct:/\n1:cpu:/\n", **{
        "cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n",
        "cpuacct__cpu.cfs_quota_us": "100000\n", "cpuacct__cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    assert usable_cores(**places, affinity=16) == 16


@pytest.mark.parametrize("proc", ["", "nonsense\n", "0::\n", "1:cpu\n"])
def test_files_that_say_nothing_leave_the_affinity(cgroups, proc):
    """Unreadable is not a quota."""
    assert usable_cores(**cgroups(proc), affinity=3) == 3
    assert usable_cores(**cgroups(proc)) >= 1


def test_a_library_is_told_only_what_it_cannot_see_itself(cgroups):
    """Settings first; then a quota below the affinity; else its own choice stands."""
    places = cgroups("0::/\n", cpu_dot_max="100000 100000\n")
    assert library_threads(4, **places, affinity=16) == 4
    assert library_threads(0, **places, affinity=16) == 1
    assert library_threads(0, **places, affinity=1) == 0
