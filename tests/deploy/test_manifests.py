"""The files that cannot be run here say what Tailrace's settings, paths and times are, and contradict none of them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tailrace.server.lifecycle import config_of
from tailrace.server.settings import Settings, load
from tests.support.deployed import DEPLOY

SERVER = Settings().server
LAST_WORDS = 5
"""Seconds beyond `drain_delay` and `drain_timeout` that docs/topics/shutdown.md asks for."""

MANIFESTS = {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes" / "tailrace.yaml").read_text())}
COMPOSE = yaml.safe_load((DEPLOY / "docker" / "compose.yml").read_text())
HEALTH = {"/health/live", "/health/ready"}


def text(name: str) -> str:
    return (DEPLOY / name).read_text()


def seconds(written: str) -> float:
    """`4s`, `250ms` or `1m`."""
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m)", written).groups()  # type: ignore[union-attr]
    return float(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def directive(name: str, written: str) -> str:
    found = re.search(rf"^\s*{name}\s+(\S+?)(?:;| {{)?$", written, re.MULTILINE)
    assert found, f"there is no {name}"
    return found[1]


class TestKubernetes:
    POD: Any = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
    CONTAINER: Any = POD["containers"][0]

    def settings(self, tmp_path: Path) -> Settings:
        path = tmp_path / "tailrace.toml"
        path.write_text(MANIFESTS["ConfigMap"]["data"]["tailrace.toml"])
        return load(path, environ={}, flags={})

    def test_the_settings_are_settings(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path)
        assert settings.server.drain_timeout == SERVER.drain_timeout
        assert settings.store.url.startswith("redis://")

    def test_a_pod_is_killed_only_when_it_has_had_its_time_to_leave(self, tmp_path: Path) -> None:
        server = self.settings(tmp_path).server
        _, before = self.CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
        leaving = float(before) + server.drain_delay + server.drain_timeout + LAST_WORDS
        assert self.POD["terminationGracePeriodSeconds"] > leaving

    def test_the_probes_ask_paths_that_there_are(self) -> None:
        asked = {self.CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
        assert asked == HEALTH
        assert self.CONTAINER["readinessProbe"]["httpGet"]["path"] == "/health/ready"

    def test_what_belongs_together_has_one_name_and_one_port(self) -> None:
        labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
        assert MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
        assert MANIFESTS["Service"]["spec"]["selector"] == labels
        assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
        assert MANIFESTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "tailrace"
        (rule,) = MANIFESTS["Ingress"]["spec"]["rules"]
        assert rule["http"]["paths"][0]["backend"]["service"]["name"] == MANIFESTS["Service"]["metadata"]["name"]
        assert self.CONTAINER["ports"] == [{"name": "http", "containerPort": SERVER.port}]

    def test_a_disruption_leaves_one_and_stops_at_that(self) -> None:
        replicas = MANIFESTS["Deployment"]["spec"]["replicas"]
        assert MANIFESTS["PodDisruptionBudget"]["spec"]["minAvailable"] == replicas - 1
        assert MANIFESTS["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == replicas


class TestDocker:
    LINES = text("docker/Dockerfile").splitlines()

    def test_compose_gives_two_instances_their_time_to_leave(self) -> None:
        for name in ("one", "two"):
            grace = seconds(COMPOSE["services"][name]["stop_grace_period"])
            assert grace > SERVER.drain_delay + SERVER.drain_timeout + LAST_WORDS

    def test_what_is_set_in_the_environment_is_a_setting(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        environment = {**COMPOSE["services"]["one"]["environment"], "TAILRACE_SERVER_HOST": "0.0.0.0"}
        assert "TAILRACE_SERVER_HOST=0.0.0.0" in text("docker/Dockerfile")
        given = {name: value for name, value in environment.items() if name.startswith("TAILRACE_")}
        settings = load(None, environ=given, flags={})
        assert (settings.server.host, settings.store.url) == ("0.0.0.0", "redis://redis:6379/0")

    def test_every_file_that_is_named_is_there(self) -> None:
        folder = DEPLOY / "docker"
        mounted = [each.split(":")[0] for each in COMPOSE["services"]["nginx"]["volumes"]]
        copied = [word for line in self.LINES if re.match(r"COPY (?!--from)", line) for word in line.split()[1:-1]]
        assert [name for name in mounted if not (folder / name).is_file()] == []
        assert [name for name in copied if not (DEPLOY.parent / name).exists()] == []
        ignored = text("docker/Dockerfile.dockerignore").splitlines()
        assert {line[1:] for line in ignored if line.startswith("!")} == set(copied)
        build = COMPOSE["services"]["one"]["build"]
        assert (folder / build["context"] / build["dockerfile"]).resolve() == folder / "Dockerfile"

    def test_it_runs_as_somebody_without_rights_and_hears_the_signal_itself(self) -> None:
        last_stage = self.LINES[max(number for number, line in enumerate(self.LINES) if line.startswith("FROM")) :]
        assert "USER 10001" in last_stage
        assert 'ENTRYPOINT ["tailrace"]' in last_stage
        assert COMPOSE["services"]["one"]["cap_drop"] == ["ALL"]

    def test_its_nginx_is_ours_but_for_the_instances(self) -> None:
        ours, theirs = text("nginx/upstream.conf"), text("docker/upstream.conf")
        for name in ("upstream", "keepalive", "keepalive_timeout"):
            assert directive(name, ours) == directive(name, theirs)


class TestSystemd:
    def unit(self) -> configparser.SectionProxy:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text("systemd/tailrace.service"))
        return parser["Service"]

    def test_it_is_killed_only_when_it_has_had_its_time_to_leave(self) -> None:
        assert float(self.unit()["TimeoutStopSec"]) >= SERVER.drain_delay + SERVER.drain_timeout + LAST_WORDS
        assert self.unit()["KillMode"] == "mixed"

    def test_settings_that_are_wrong_are_not_tried_again(self) -> None:
        assert self.unit()["RestartPreventExitStatus"] == "2"

    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
    def test_systemd_has_nothing_to_say_against_it(self, tmp_path: Path) -> None:
        unit = tmp_path / "tailrace.service"
        unit.write_text(text("systemd/tailrace.service").replace("/opt/tailrace/bin/tailrace", sys.executable))
        command = ["systemd-analyze", "verify", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "tailrace.service" not in done.stderr


class TestProxies:
    KEPT = config_of(None, Settings()).timeout_keep_alive
    """Seconds for which Tailrace keeps a connection on which nothing is asked."""

    def test_quiet_streams_outlast_three_heartbeats(self) -> None:
        waits = [directive("proxy_read_timeout", text("nginx/locations"))]
        waits += [directive(f"timeout {side}", text("haproxy/haproxy.cfg")) for side in ("client", "server", "tunnel")]
        assert all(seconds(wait) > 3 * SERVER.heartbeat for wait in waits)

    def test_no_proxy_keeps_a_connection_for_as_long_as_tailrace_does(self) -> None:
        kept = [
            directive("keepalive_timeout", text("nginx/upstream.conf")),
            directive("keepalive", text("caddy/Caddyfile")),
            re.findall(r"pool-purge-delay (\S+)", text("haproxy/haproxy.cfg"))[0],
        ]
        assert all(seconds(each) < self.KEPT for each in kept)

    def test_a_body_that_is_too_large_is_refused_by_tailrace_itself(self) -> None:
        assert directive("client_max_body_size", text("nginx/locations")) == "2m"
        assert SERVER.max_body < 2 * 1_048_576

    def test_the_worker_gives_up_before_a_client_does(self) -> None:
        patience = re.search(r"PATIENCE = \[(.*)\]", text("cloudflare/worker.js"))
        assert patience
        assert sum(float(each) for each in patience[1].split(",")) < SERVER.heartbeat

    def test_the_worker_is_run_here_as_it_is_deployed(self) -> None:
        told = tomllib.loads(text("cloudflare/wrangler.toml"))
        support = (Path(__file__).parents[1] / "support" / "workerd.py").read_text()
        assert f'compatibilityDate = "{told["compatibility_date"]}"' in support
        assert told.keys() <= {"name", "main", "compatibility_date", "vars"}
        assert (DEPLOY / "cloudflare" / told["main"]).is_file()
