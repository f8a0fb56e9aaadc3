from __future__ import annotations

import asyncio
import json
import logging
import sys
import types

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, TraceFlags
from starlette.testclient import TestClient

from synth.errors import ConfigError
from synth.serving import ServerSettings, create_app
from synth.serving.telemetry import Share, Telemetry, open_telemetry
from synth.serving.tracing import Tracer

URL = "/v1/images/generations"
EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
SPAN = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(store, pets, fake_generator, exported):
    """A server whose spans are exported to memory."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    telemetry = Telemetry(tracer=Tracer(provider))
    settings = ServerSettings(store=store.root, keys=store.root / "keys.json")
    app = create_app(settings, open_generator=fake_generator, telemetry=telemetry)
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def test_a_request_goes_on_with_the_trace_of_its_client(traced, exported):
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    assert traced.post(URL, json={"count": 4, "format": "raw"}, headers=headers).status_code == 200
    spans = {span.name: span for span in exported.get_finished_spans()}
    assert set(spans) == {f"POST {URL}", "queue", "batch", "encode"}
    request = spans[f"POST {URL}"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert request.attributes["http.response.status_code"] == 200
    for name in ("queue", "encode"):
        assert spans[name].parent.span_id == request.context.span_id
        assert request.start_time <= spans[name].start_time <= spans[name].end_time
    assert spans["encode"].attributes["synth.form"] == "raw"
    batch = spans["batch"]
    assert (batch.parent, batch.attributes["synth.samples"]) == (None, 4)
    assert [link.context for link in batch.links] == [request.context]
    assert [link.context for link in spans["queue"].links] == [batch.context]
    assert spans["queue"].end_time <= batch.end_time


def test_a_client_that_does_not_record_its_trace_makes_no_spans(traced, exported):
    traced.post(URL, json={}, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert exported.get_finished_spans() == ()


def test_the_access_log_has_the_trace(traced, exported, caplog):
    caplog.set_level(logging.INFO, logger="synth.access")
    traced.get("/v1/models")
    [line] = [record.getMessage() for record in caplog.records if record.name == "synth.access"]
    [span] = exported.get_finished_spans()
    assert json.loads(line)["trace_id"] == f"{span.context.trace_id:032x}"


def test_asked_for_traces_are_exported_before_the_end(monkeypatch, exported):
    module = types.ModuleType("trace_exporter")
    module.OTLPSpanExporter = lambda: exported
    monkeypatch.setitem(sys.modules, EXPORTER, module)
    telemetry = open_telemetry(True)
    telemetry.tracer.encoding("png", 0.0, 1.0)  # of no request, so of no trace
    telemetry.tracer.batch(3, 1.0, 2.0, [Share(SPAN, 0.5), Share(None, 0.5)])
    asyncio.run(telemetry.shut_down())
    batch, queue = exported.get_finished_spans()
    assert (batch.name, queue.name) == ("batch", "queue")
    assert batch.resource.attributes["service.name"] == "synth"
    assert (batch.end_time - batch.start_time, queue.end_time - queue.start_time) == (
        pytest.approx(1e9, rel=0.01),
        pytest.approx(0.5e9, rel=0.01),
    )


def test_without_being_asked_for_nothing_is_traced_or_imported(monkeypatch, store):
    monkeypatch.setitem(sys.modules, "synth.serving.tracing", None)  # importing it fails
    create_app(ServerSettings(store=store.root), open_generator=print)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    create_app(ServerSettings(store=store.root, tracing=False), open_generator=print)
    with pytest.raises(ConfigError):
        create_app(ServerSettings(store=store.root), open_generator=print)


@pytest.mark.parametrize(("tracing", "says"), [
    (True, "SYNTH_TRACING is set, but"), (None, "There is OTEL_EXPORTER_OTLP_ENDPOINT"),
])  # fmt: skip
def test_asked_for_without_the_extra_it_is_one_clear_error(monkeypatch, tracing, says):
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    with pytest.raises(ConfigError, match=says) as raised:
        open_telemetry(tracing)
    assert "pip install 'synth-service[otel]'" in str(raised.value)
