"""Real processes on a real nats-server are killed, paused and cut off while hundreds listen."""

from pathlib import Path

from tests.chaos.storm import storm


async def test_hundreds_of_streams_under_random_faults_lose_repeat_and_disorder_no_sample(
    tmp_path: Path,
) -> None:
    report = await storm(tmp_path, streams=300, seed=20_260, mean_gap_s=0.8)
    assert report.tally.faults == []
    assert report.tally.whole == 300
    assert report.left == []
    assert sum(report.faults.values()) > 10, "a storm without faults proves nothing"
    assert report.waits_s, "no sentence was taken over in its middle, so nothing was proven"
