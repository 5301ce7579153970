"""How the suite decides whether a cap on the instruction set works, and whether one is needed."""

import pytest

from tests.capped import cap_holds, is_avx2_only


@pytest.mark.parametrize(("executed", "expected"), [
    (["jit_avx2_f32", "brgemm_avx2_f32", "ref_any_f32"], True),
    (["jit_avx2_f32", "brgemm_avx512_core_f32"], False),
    (["brgemm_avx2_vnni_i8"], False),
    (["brgemm_avx512_core_amx_i8"], False),
    ([], False),
])  # fmt: skip
def test_executed_kernels_show_whether_a_cap_works(executed, expected):
    """One kernel for a newer processor disproves it. A list without kernels proves nothing."""
    assert cap_holds(executed) is expected


@pytest.mark.parametrize(("flags", "expected"), [
    ("fpu sse4_2 avx f16c avx2 bmi2", True), ("avx avx2 avx512f avx512bw", False), ("avx2 avx_vnni", False),
    ("avx2 avx512f amx_tile", False), ("sse4_2 avx", False), ("", False),
])  # fmt: skip
def test_a_processor_with_avx2_and_nothing_newer_needs_no_cap(flags, expected):
    """The cap imitates such a processor."""
    assert is_avx2_only(f"processor\t: 0\nflags\t\t: {flags}\n") is expected
