"""The voice of a request that names one, or that sends neither a voice nor recordings."""

from dataclasses import dataclass, replace

from services.common.bus.library.resolving import VoiceChoice, VoiceResolver, default_voice
from services.common.wire.failures import UnknownVoice
from services.common.wire.parameters import takes_of, with_defaults
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

        A form with recordings is returned as it is. Raises UnknownVoice, BusUnavailable, BadRequest if the engine has
        no default voice for the language, and EngineUnavailable if that is unknown because no worker is ready.
        """
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

    async def _chosen(self, tenant: str, form: Form) -> VoiceChoice:
        fleet = self.fleet.of(form.engine)
        if form.voice is not None:
            return await self._named(tenant, form, form.voice)

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
