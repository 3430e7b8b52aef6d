"""No frame is taken for another pattern's, over GigE Vision with a counter that wraps and every tenth packet lost."""

import pytest

from tests.drivers.aravis.needs import needs_aravis

needs_aravis()

from scripts.show_frame_identity import in_order, measured  # noqa: E402 (skipped where its peer is missing)


@pytest.mark.parametrize("stamps", [True, False], ids=["by time stamps", "one after the other"])
def test_no_pair_is_wrong_through_the_wrap_of_the_counter_and_with_lost_packets(stamps: bool) -> None:
    found = measured(25, lost_per_mille=100, stamps=stamps, run_up_to=65505)
    assert (found.shots, found.wrong) == (25, 0)
    assert found.wrapped and found.retaken > 0, "the network was to lose packets"


def test_the_order_in_which_frames_come_pairs_them_wrongly() -> None:
    found = in_order(40, lost_per_mille=100)
    assert found.shots < 40 and found.wrong > 0
