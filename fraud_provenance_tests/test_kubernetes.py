"""`deploy/kubernetes`: each object is one that Kubernetes knows, each run's pod is one signer's.

The pods of runs are made by Dagster's own launcher, from our `dagster.yaml` and our jobs' tags. No
cluster runs here.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import typer
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.rules.layout import Layout, parse_layout
from fraud_provenance.attested.sigstore.token_files import TokenFiles
from fraud_provenance.defs import pods
from fraud_provenance.home.settings import PROJECT, Settings, settings_from
from fraud_provenance_tests.product import copy_project

FOLDER = PROJECT / "deploy" / "kubernetes"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
NAMESPACE = "fraud-provenance"
VERSION = "1.33"
Objects = dict[tuple[str, str], dict[str, Any]]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def all_objects() -> Objects:
    found = [item for name in FILES for item in documents(name)]
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


OBJECTS = all_objects()
DEPLOYMENTS = sorted(name for kind, name in OBJECTS if kind == "Deployment")
SETTINGS: dict[str, str] = OBJECTS["ConfigMap", "settings"]["data"]
PLACED = sorted(
    [("code.yaml", "image"), ("network.yaml", "podSelector"), ("accounts.yaml", "rules"),
     ("storage.yaml", "accessModes"), ("gate.yaml", "audience"), ("web.yaml", "targetPort"),
     ("settings.yaml", "data"), ("namespace.yaml", "labels"), ("mlflow.yaml", "secretKeyRef"),
     ("daemon.yaml", "livenessProbe")]
)  # fmt: skip


def validate(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def validate_all(found: list[dict[str, Any]]) -> None:
    for document in found:
        validate(document)


# --- the objects ---------------------------------------------------------------------------------


def test_kustomize_takes_each_file_and_no_other() -> None:
    (found,) = documents("kustomization.yaml")
    assert sorted(found["resources"]) == FILES
    assert found["namespace"] == NAMESPACE
    assert ("Namespace", NAMESPACE) in OBJECTS
    assert len(OBJECTS) == sum(len(documents(name)) for name in FILES)


@pytest.mark.parametrize("key", sorted(OBJECTS), ids="-".join)
def test_object_is_one_that_kubernetes_knows(key: tuple[str, str]) -> None:
    validate(OBJECTS[key])


@pytest.mark.parametrize(("file", "word"), PLACED)
def test_misspelt_field_is_refused(file: str, word: str) -> None:
    text = (FOLDER / file).read_text()
    assert f"{word}:" in text
    wrong = list(yaml.safe_load_all(text.replace(f"{word}:", f"{word}s:")))
    with pytest.raises(kubernetes_validate.ValidationError):
        validate_all(wrong)


def test_no_secret_stands_there() -> None:
    assert "Secret" not in {kind for kind, _ in OBJECTS}
    for name in DEPLOYMENTS:
        for variable in container(name)["env"]:
            assert "value" not in variable or "PASSWORD" not in variable["name"]


def pod(name: str) -> dict[str, Any]:
    return dict(OBJECTS["Deployment", name]["spec"]["template"]["spec"])


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    return dict(found)


def check_shut_in(spec: dict[str, Any]) -> None:
    """Not root, a file system that cannot be written, no right but those of any process."""
    (only,) = spec["containers"]
    whole, own = spec["securityContext"], only["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(only["resources"]) == {"requests", "limits"}
    assert spec["enableServiceLinks"] is False  # MLFLOW_… of a service would be an override
    mounted = {item["name"] for item in only["volumeMounts"]}
    assert mounted == {item["name"] for item in spec["volumes"]}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_deployment_is_shut_in_and_watched(name: str) -> None:
    check_shut_in(pod(name))
    assert container(name)["livenessProbe"]
    assert pod(name)["automountServiceAccountToken"] is (name == "daemon")
    assert ("ServiceAccount", pod(name)["serviceAccountName"]) in OBJECTS


def test_accounts_may_ask_the_cluster_nothing_but_the_daemons() -> None:
    accounts = [item for (kind, _), item in OBJECTS.items() if kind == "ServiceAccount"]
    assert not [item for item in accounts if item["automountServiceAccountToken"] is not False]
    bound = [item for (kind, _), item in OBJECTS.items() if kind.endswith("RoleBinding")]
    assert [who["name"] for item in bound for who in item["subjects"]] == ["daemon"]


def test_only_the_gate_has_a_token_to_sign_by_and_only_code_and_gate_have_the_home() -> None:
    volumes = {name: {item["name"]: item for item in pod(name)["volumes"]} for name in DEPLOYMENTS}
    assert [name for name in DEPLOYMENTS if "tokens" in volumes[name]] == ["gate"]
    assert [name for name in DEPLOYMENTS if "home" in volumes[name]] == ["code", "gate"]
    (source,) = volumes["gate"]["tokens"]["projected"]["sources"]
    signer = layout_of(NAMESPACE).step("data_access").signer()
    assert signer is not None
    assert source["serviceAccountToken"]["path"] == f"kubernetes/{signer.subject[8:]}"
    assert signer.subject.endswith(f"/{pod('gate')['serviceAccountName']}")


def test_everything_else_is_denied_and_each_pod_has_its_own_rule() -> None:
    nothing = OBJECTS["NetworkPolicy", "nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    named = [item["spec"]["podSelector"].get("matchLabels", {}) for (kind, _), item
             in OBJECTS.items() if kind == "NetworkPolicy"]  # fmt: skip
    assert {found["app"] for found in named if "app" in found} == set(DEPLOYMENTS)
    labels = yaml.safe_load(SETTINGS["dagster.yaml"])["run_launcher"]["config"]["labels"]
    assert labels in named


# --- the settings --------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "settings.toml").write_text(SETTINGS["settings.toml"])
    return settings_from({"FRAUD_PROVENANCE_HOME": str(tmp_path)})


def test_settings_are_the_products_own(settings: Settings) -> None:
    assert settings.runs.one_identity
    assert settings.tokens == Path(pods.TOKENS)
    assert settings.environment != "local"
    assert settings.evidence.bucket()
    assert settings.data.bucket()
    host = settings.mlflow.server.removeprefix("https://").removesuffix(":5000")
    assert host == f"{OBJECTS['Service', 'mlflow']['metadata']['name']}.{NAMESPACE}.svc"
    assert f"{host}:5000" in container("mlflow")["args"]


def test_daemon_and_pages_find_the_code_and_the_storage(settings: Settings) -> None:
    (entry,) = yaml.safe_load(SETTINGS["workspace.yaml"])["load_from"]
    place, served = entry["grpc_server"], container("code")["args"]
    assert place["host"] == OBJECTS["Service", "code"]["metadata"]["name"]
    assert served[served.index("--port") + 1] == str(place["port"])
    assert served[served.index("--location-name") + 1] == place["location_name"]
    for name in ("dagster.yaml", "dagster-web.yaml"):
        storage = yaml.safe_load(SETTINGS[name])["storage"]["postgres"]["postgres_db"]
        assert storage == settings.postgres.storage()


def test_runs_get_the_image_of_the_code_server() -> None:
    image = container("code")["image"]
    variables = {item["name"]: item.get("value") for item in container("code")["env"]}
    assert variables["DAGSTER_CURRENT_IMAGE"] == image
    assert {container(name)["image"] for name in DEPLOYMENTS} == {image}


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster-web.yaml"])
def test_dagster_takes_its_settings(tmp_path: Path, name: str) -> None:
    (tmp_path / "dagster.yaml").write_text(SETTINGS[name])
    found, _ = dagster_instance_config(str(tmp_path))
    assert found["run_coordinator"]["config"] == {"max_concurrent_runs": 1}
    (tmp_path / "dagster.yaml").write_text(SETTINGS[name].replace("nux:", "nix:"))
    with pytest.raises(dg.DagsterInvalidConfigError, match="nix"):
        dagster_instance_config(str(tmp_path))


def program(name: str) -> Any:  # noqa: ANN401 - typer has a click of its own
    """A program of ours or of a library, as it parses what it is told."""
    if name == "fraud-provenance":
        from fraud_provenance.cli.application import app

        return typer.main.get_command(app)
    if name == "mlflow":
        from mlflow.cli import cli as mlflow

        return mlflow
    if name == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    if name == "dagster-daemon":
        from dagster._daemon.cli import create_dagster_daemon_cli

        return create_dagster_daemon_cli()
    from dagster_webserver.cli import create_dagster_webserver_cli

    return create_dagster_webserver_cli()


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command that these words start would be given; it is not started.

    Raises:
        ClickException: it does not know one of them.
    """
    command, rest, context = program(words[0]), words[1:], None
    while hasattr(command, "resolve_command") and rest:
        context = command.context_class(command, parent=context)
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    return dict(command.make_context("x", rest, parent=context).params)


def commands() -> dict[str, list[str]]:
    """What each container starts, and what looks after it with a program of ours."""
    found = {name: [str(word) for word in container(name)["args"]] for name in DEPLOYMENTS}
    found["daemon's probe"] = container("daemon")["livenessProbe"]["exec"]["command"]
    return found


@pytest.mark.parametrize("name", sorted(commands()))
def test_what_is_started_knows_what_it_is_told(name: str) -> None:
    there = str(PROJECT / "workspace.yaml")  # what is mounted is not here
    words = [there if word.endswith("/workspace.yaml") else word for word in commands()[name]]
    parsed(words)
    with pytest.raises(Exception, match=r"No such option.*--nonsense"):
        parsed([*words, "--nonsense"])


# --- the pods of runs ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The tags of each job, in a checkout whose layout names the accounts."""
    project = copy_project(tmp_path_factory.mktemp("accounts") / "project")
    script = project / "deploy" / "kubernetes" / "identities.py"
    subprocess.run([sys.executable, str(script), NAMESPACE], check=True)
    told = (
        "import json; from fraud_provenance.definitions import defs\n"
        "jobs = defs().get_repository_def().get_all_jobs()\n"
        "print(json.dumps({job.name: dict(job.tags) for job in jobs}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=project, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(project), "HOME": str(project)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def layout_of(namespace: str) -> Layout:
    """The layout that `identities.py` makes, as a policy reads it."""
    sys.path.insert(0, str(FOLDER))
    try:
        import identities
    finally:
        sys.path.remove(str(FOLDER))
    files = {
        f"data/{name}": json.dumps(
            identities.of_accounts(json.loads((identities.DATA / name).read_bytes()), namespace)
        ).encode()
        for name in ("layout.json", "principals.json")
    }
    return parse_layout(files)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> K8sRunLauncher:
    """Dagster's own, from our settings; it never speaks to a cluster."""
    known = {"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}
    place = tmp_path_factory.mktemp("kube") / "config"
    place.write_text(
        yaml.safe_dump(
            {
                "clusters": [known],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "current-context": "x",
                "users": [{"name": "x", "user": {}}],
            }
        )
    )
    config = yaml.safe_load(SETTINGS["dagster.yaml"])["run_launcher"]["config"]
    ours = config | {"load_incluster_config": False, "kubeconfig_file": str(place)}
    data = ConfigurableClassData("dagster_k8s", "K8sRunLauncher", yaml.safe_dump(ours))
    return data.rehydrate(as_type=K8sRunLauncher)


@pytest.fixture
def job_of(launcher: K8sRunLauncher) -> Callable[[str, dict[str, str]], dict[str, Any]]:
    """What the launcher would hand to the cluster for a run of a job with these tags."""

    def made(name: str, tags: dict[str, str]) -> dict[str, Any]:
        context = launcher.get_container_context_for_run(DagsterRun(job_name=name, tags=tags))
        job = construct_dagster_k8s_job(
            job_config=context.get_k8s_job_config("fraud-provenance@sha256:00", launcher),
            args=["dagster", "api", "execute_run"],
            job_name=f"dagster-run-{name.replace('_', '-')}",
            user_defined_k8s_config=context.run_k8s_config,
            component="run_worker",
            labels={"dagster/job": name},
        )
        return dict(ApiClient().sanitize_for_serialization(job))

    return made


JobOf = Callable[[str, dict[str, str]], dict[str, Any]]


def spec_of(job: dict[str, Any]) -> dict[str, Any]:
    """What a run's pod is made by: valid, shut in, and given no token but by name."""
    validate(job)
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    check_shut_in(spec)
    assert spec["automountServiceAccountToken"] is False
    return spec


def test_every_job_that_signs_as_one_has_its_pod(tags: dict[str, dict[str, str]]) -> None:
    tagged = {name for name, found in tags.items() if pods.TAG in found}
    assert tagged == set(pods.SIGNERS)
    assert {"training", "landed", "provenance_check", "log_audit"} <= set(tags)


@pytest.mark.parametrize("name", sorted(pods.SIGNERS))
def test_run_of_a_job_is_a_pod_of_its_signer_and_has_no_other_token(
    tags: dict[str, dict[str, str]], job_of: JobOf, name: str
) -> None:
    job = job_of(name, tags[name])
    spec = spec_of(job)
    signer = layout_of(NAMESPACE).step(pods.SIGNERS[name]).signer()
    assert signer is not None
    assert signer.subject.endswith(f"/serviceaccounts/{spec['serviceAccountName']}")
    assert ("ServiceAccount", spec["serviceAccountName"]) in OBJECTS
    projected = [item for item in spec["volumes"] if "projected" in item]
    (source,) = [source for item in projected for source in item["projected"]["sources"]]
    token = source["serviceAccountToken"]
    assert (token["audience"], token["expirationSeconds"]) == ("sigstore", 600)
    (mount,) = [item for item in spec["containers"][0]["volumeMounts"] if item["name"] == "tokens"]
    assert mount["readOnly"] is True
    with pytest.raises(BackendError) as caught:  # where the product looks for it
        TokenFiles(Path(mount["mountPath"]))(signer)
    assert f"into {mount['mountPath']}/{token['path']}, and" in caught.value.reasons[0].remedy
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["fraud-provenance/run"] == "true"
    assert job["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize("name", ["training", "landed", "provenance_check", "log_audit"])
def test_run_that_is_nobodys_has_no_token(
    tags: dict[str, dict[str, str]], job_of: JobOf, name: str
) -> None:
    spec = spec_of(job_of(name, tags[name]))
    assert spec["serviceAccountName"] == "run-without-identity"
    assert not [item for item in spec["volumes"] if "projected" in item]


def test_misspelt_field_of_a_pod_is_refused(tags: dict[str, dict[str, str]], job_of: JobOf) -> None:
    job = job_of("ingest", tags["ingest"])
    job["spec"]["template"]["spec"]["serviceAccountNames"] = "ingest"
    with pytest.raises(kubernetes_validate.ValidationError, match="serviceAccountNames"):
        validate(job)


@pytest.mark.parametrize(
    "said",
    [
        {"container_config": {"image": "other"}},
        {"container_config": {"command": ["sh"]}},
        {"container_config": {"env": [{"name": "X", "value": "y"}]}},
        {"container_config": {"security_context": {"privileged": True}}},
        {"pod_spec_config": {"host_network": True}},
        {"pod_spec_config": {"containers": [{"name": "beside", "image": "other"}]}},
    ],
    ids=lambda said: "-".join(next(iter(said.values()))),
)
def test_who_starts_a_run_chooses_neither_code_nor_rights(
    job_of: JobOf, said: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match="violated the allowed list"):
        job_of("ingest", {pods.TAG: json.dumps(said)})


def test_jobs_have_no_such_tags_where_no_account_signs() -> None:
    layout = json.loads((PROJECT / "policies" / "data" / "layout.json").read_bytes())
    assert not any(pods.tags_of(job, layout) for job in pods.SIGNERS)
    assert pods.tags_of("ingest", {}) == {}
    assert set(pods.SIGNERS.values()) <= set(layout["steps"])
