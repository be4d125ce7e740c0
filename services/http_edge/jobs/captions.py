"""Stores the captions of a job with its audio: the text of a job is stored nowhere else once it is done."""

from dataclasses import dataclass, field

import structlog

from services.common.wire.failures import QueueFull
from services.common.wire.messages import SentenceSpoken, SpeechRequest, TextSplit
from services.http_edge.jobs.chapters import located
from services.http_edge.jobs.store import JobStore, caption_page
from services.http_edge.subtitles.captions import Caption, caption_of

log = structlog.get_logger()


@dataclass
class JobCaptions:
    """The captions of one job, as its sentences are stored by this edge."""

    store: JobStore
    request: SpeechRequest
    split: TextSplit | None = None
    _first: int = 0  # sentence of the first caption below
    _page: list[Caption] = field(default_factory=list)  # of this edge, of the current page

    async def add(self, spoken: SentenceSpoken, split: TextSplit | None) -> None:
        """Store the caption of a sentence whose audio is stored. `split`: as received, if it was.

        If the store is full, or the segmentation is lost, the job has no subtitles. Raises BusUnavailable.
        """
        tenant = self.request.tenant
        job = self.request.request
        try:
            if self.split is None:
                await self._find_split(split)
            if self.split is None:
                log.warning("job_without_captions", request=job)
                return
            span = self.split.sentences[spoken.sentence]
            caption = caption_of(self.request, span, spoken)
            _, index = caption_page(spoken.sentence)
            if index == 0 or not self._page:
                self._first, self._page = spoken.sentence, []
            self._page.append(caption)
            await self.store.add_captions(tenant, job, self._first, self._page)
        except QueueFull:
            log.warning("job_without_captions", request=job)

    async def _find_split(self, received: TextSplit | None) -> None:
        tenant = self.request.tenant
        job = self.request.request
        self.split = await self.store.split(tenant, job)
        if self.split is None and received is not None:
            self.split = received
            await self.store.keep_split(tenant, job, received)
            if self.request.chapters:
                chapters = located(self.request.chapters, received.sentences)
                await self.store.keep_chapters(tenant, job, chapters)
