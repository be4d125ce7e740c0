"""The voices of a request: of its form, and those that parts of its text name."""

from dataclasses import dataclass, replace

from services.common.bus.library.resolving import VoiceChoice, VoiceResolver, default_voice
from services.common.wire.failures import UnknownVoice
from services.common.wire.parameters import takes_of, with_defaults
from services.common.wire.parts import Speaker
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.openai.openai_voices import stand_in_for


@dataclass(frozen=True)
class VoiceSelector:
    """Chooses the voices of requests."""

    resolver: VoiceResolver
    fleet: Fleet

    async def voiced(self, tenant: str, form: Form) -> Form:
        """Return the form with its voice resolved, and with the voice's defaults where it sets no parameter.

        The recordings of a form stay its voice. Raises UnknownVoice, BusUnavailable, BadRequest if the engine has no
        default voice for the language, and EngineUnavailable if that is unknown because no worker is ready.
        """
        form = replace(form, speakers=await self._speakers(tenant, form))
        if form.uploads:
            return form

        chosen = await self._chosen(tenant, form)
        takes = takes_of(self.fleet.of(form.engine).ready())
        parameters = with_defaults(form.parameters, chosen.parameters, takes=takes)
        slower = (form.parameters.speed or 1.0) / (parameters.speed or 1.0)
        return replace(
            form,
            voice=chosen.reference,
            parameters=parameters,
            audio_s=form.audio_s * slower,
        )

    async def _speakers(self, tenant: str, form: Form) -> tuple[Speaker, ...]:
        """Return the voices that the text names."""
        fleet = self.fleet.of(form.engine)
        asked = [
            Speaker(name=name, voice=form.voices.get(name, name)) for name in form.names if name
        ]
        try:
            return await self.resolver.resolve_speakers(
                tenant, asked, form.parameters, fleet.ready()
            )
        except UnknownVoice:
            fleet.require_ready()  # it may be a voice of the engine
            raise

    async def _chosen(self, tenant: str, form: Form) -> VoiceChoice:
        fleet = self.fleet.of(form.engine)
        if form.voice is not None:
            return await self._named(tenant, form, form.voice)

        if form.speakers and "" not in form.names:
            return VoiceChoice(form.speakers[0].voice)  # nothing is in the voice of the form

        reference = default_voice(form.language, fleet.ready())
        if reference is None:
            fleet.require_ready()
            raise BadRequest(
                f"the engine {fleet.engine} has no default voice for this language; "
                "send voice or reference_audio: 6-30 s of one person speaking",
                field="voice",
            )
        return VoiceChoice(reference)

    async def _named(self, tenant: str, form: Form, voice: str) -> VoiceChoice:
        fleet = self.fleet.of(form.engine)
        workers = fleet.ready()
        try:
            return await self.resolver.resolve(tenant, voice, workers)
        except UnknownVoice:
            stand_in = stand_in_for(voice, form.language, workers) if form.openai_voices else None
            if stand_in is None:
                fleet.require_ready()  # it may be a voice of the engine
                raise
            return VoiceChoice(stand_in)
