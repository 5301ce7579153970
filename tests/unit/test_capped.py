"""How the suite decides what a capped run shows."""

import pytest

from tests.capped import cap_holds, is_avx2_only


@pytest.mark.parametrize(("executed", "holds"), [
    (["jit_avx2_f32", "brgemm_avx2_f32", "ref_any_f32"], True),
    (["jit_avx2_f32", "brgemm_avx512_core_f32"], False),
    (["brgemm_avx2_vnni_i8"], False),
    (["brgemm_avx512_core_amx_i8"], False),
    ([], False),
])  # fmt: skip
def test_executed_kernels_say_whether_a_cap_holds(executed, holds):
    """One newer kernel is enough: then it was not this processor that was tested. No kernels prove nothing."""
    assert cap_holds(executed) is holds


@pytest.mark.parametrize(("flags", "is_it"), [
    ("fpu sse4_2 avx f16c avx2 bmi2", True), ("avx avx2 avx512f avx512bw", False), ("avx2 avx_vnni", False),
    ("avx2 avx512f amx_tile", False), ("sse4_2 avx", False), ("", False),
])  # fmt: skip
def test_a_processor_with_avx2_and_nothing_newer_needs_no_cap(flags, is_it):
    """It is what the cap stands in for."""
    assert is_avx2_only(f"processor\t: 0\nflags\t\t: {flags}\n") is is_it
