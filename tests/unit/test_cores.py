"""The number of cores that a process may use: the smaller of its affinity and its cgroup's quota."""

import pytest

from kogpt2_chat.machine.cores import library_threads, usable_cores


@pytest.fixture
def cgroups(tmp_path):
    """Return a function that writes a machine's cgroup files and returns their paths as arguments."""

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
def test_a_quota_of_cgroup_v2_limits_the_cores(cgroups, quota, cores):
    """It is rounded up to at least one and at most the affinity. Without a quota the affinity counts."""
    paths = cgroups("0::/\n", cpu_dot_max=f"{quota}\n")
    assert usable_cores(**paths, affinity=64) == cores


def test_the_smallest_quota_of_all_parent_cgroups_counts(cgroups):
    """A slice may have a smaller quota than the unit in it."""
    paths = cgroups("0::/a.slice/b.service\n", **{
        "a.slice__b.service__cpu_dot_max": "max 100000\n", "a.slice__cpu_dot_max": "300000 100000\n"
    })  # fmt: skip
    assert usable_cores(**paths, affinity=16) == 3


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpuacct,cpu", "cpu"])
def test_a_quota_of_cgroup_v1_limits_the_cores(cgroups, controllers):
    """This includes containers in which /proc has the host's path but only the container's own cgroup is mounted."""
    paths = cgroups(f"5:memory:/x\n1:{controllers}:/docker/abc\n0::/\n", **{
        f"{controllers}__cpu.cfs_quota_us": "200000\n", f"{controllers}__cpu.cfs_period_us": "100000\n"
    })  # fmt: skip
    assert usable_cores(**paths, affinity=16) == 2


def test_minus_one_means_no_quota_in_cgroup_v1(cgroups):
    """The lines of other controllers do not matter."""
    paths = cgroups("2:cpuacct:/\n1:cpu:/\n", **{
        "cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n",
        "cpuacct__cpu.cfs_quota_us": "100000\n", "cpuacct__cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    assert usable_cores(**paths, affinity=16) == 16


@pytest.mark.parametrize("proc", ["", "nonsense\n", "0::\n", "1:cpu\n"])
def test_without_a_readable_quota_the_affinity_counts(cgroups, proc):
    """An unreadable file is not a quota."""
    assert usable_cores(**cgroups(proc), affinity=3) == 3
    assert usable_cores(**cgroups(proc)) >= 1


def test_the_number_of_threads_of_a_library_is_set_only_if_necessary(cgroups):
    """The setting comes first, then a quota below the affinity; otherwise the library chooses."""
    paths = cgroups("0::/\n", cpu_dot_max="100000 100000\n")
    assert library_threads(4, **paths, affinity=16) == 4
    assert library_threads(0, **paths, affinity=16) == 1
    assert library_threads(0, **paths, affinity=1) == 0
