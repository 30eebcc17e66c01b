"""Command lines in every spelling, and what cannot be said on one."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from fleetrecover.docker.argv import (
    env_file_lines,
    env_inherited,
    from_argv,
    masked,
    needs_api,
    render,
    seccomp_profile,
    secrets_of,
    to_argv,
    to_json,
)
from fleetrecover.docker.parts import Device, DeviceRequest, Endpoint, Healthcheck, Mount, Port, Throttle, Ulimit
from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.errors import Unsupported, UsageError

CANONICAL = [
    "docker run --detach --network=host --restart=always --env=A=1 img etcd --name=x",
    "docker run --name=a --network=lan --network-alias=e --ip=172.31.7.9 --mac-address=02:42:ac:1f:07:99 img",
    "docker run --publish=127.0.0.1:2379:2379 --publish=53:53/udp --publish=80 '--publish=[::1]:1:1' --expose=90 img",
    "docker run --volume=/a:/b:ro,z --volume=v:/c --volume=/anon --mount=type=bind,src=/a,dst=/d,readonly img",
    "docker run '--mount=type=volume,dst=/d,volume-driver=local,\"volume-opt=o=a,b\"' img",
    "docker run --tmpfs=/run --tmpfs=/t:size=1m --shm-size=1g --memory=64m --memory-swap=-1 --cpus=1.5 img",
    "docker run --ulimit=nofile=1:2 --ulimit=core=-1 --sysctl=net.core.somaxconn=1 --label=a=b=c --label=d= img",
    "docker run --privileged --cap-add=ALL --cap-drop=MKNOD --read-only --init=false --pids-limit=-1 img",
    "docker run --device=/dev/fuse --device=/dev/a:/dev/b:r --gpus=all --device-read-bps=/dev/sda:1048576 img",
    'docker run \'--gpus=driver=nvidia,"device=0,1","capabilities=compute,utility"\' img',
    "docker run --log-driver=syslog '--log-opt=tag=a b' '--health-cmd=x || exit 1' --health-interval=90s img",
    "docker run --no-healthcheck --stop-signal=SIGINT --stop-timeout=0 --oom-score-adj=-5 img --env=NOT=OURS -d",
    "docker run --link=other:o --add-host=h:10.0.0.1 --dns=10.0.0.2 --dns-search=x.y --dns-opt=ndots:2 img",
    "docker run --entrypoint= img sh -c 'a b'",
    "docker run --entrypoint=/bin/sh --security-opt=label=disable --security-opt=systempaths=unconfined img",
    "docker run --network=name=lan,driver-opt=a=b --network=name=wan,alias=x,ip=10.1.1.1 img",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_the_canonical_form_is_kept_word_for_word(text: str) -> None:
    line = tuple(shlex.split(text))
    spec = from_argv(line)
    assert set(to_argv(spec, detach=None)) == set(line)
    assert from_argv(to_argv(spec, detach=None)) == spec
    assert to_argv(from_argv(to_argv(spec, detach=None)), detach=None) == to_argv(spec, detach=None)


SPELLINGS = [
    (
        "docker run -d -e A=1 -eB=2 -e=C=3 --env D=4 --env=E=5 -v /a:/b -p 80:80 -l x=y img",
        "docker run -d --env A=1 --env B=2 --env C=3 --env D=4 --env E=5 --volume /a:/b --publish 80:80 --label x=y img",
    ),
    (
        "docker run -u 7 -w /s -h node -c 5 -m 1g img",
        "docker run --user 7 --workdir /s --hostname node --cpu-shares 5 --memory 1073741824 img",
    ),
    ("docker run -dit img", "docker run --detach=true --interactive --tty=1 img"),
    ("docker run -itd -P img", "docker container run --tty --interactive --detach --publish-all img"),
    (
        "docker run --net host --net-alias a --dns-option x img",
        "docker run --network=host --network-alias=a --dns-opt=x img",
    ),
    ("docker run --restart no --network default img", "docker run --restart= img"),
    ("docker run -p 8000-8001:80-81 img", "docker run -p 8000:80 -p 8001:81/tcp img"),
    ("docker run --expose 90-91/udp -p 90:90/udp img", "docker run --expose 91/udp -p 90:90/udp img"),
    ("docker run --privileged=false --rm=false img", "docker run img"),
    ("docker run --ulimit nofile=5:5 --link x img", "docker run --ulimit nofile=5 --link x:x img"),
    ("docker run --health-interval=1m30s img", "docker run --health-interval 90s img"),
    ("docker run --pull never --quiet --cidfile /x img", "docker run img"),
    ("docker run -- img", "docker create img"),
    (
        "podman run --mount type=bind,source=/a,target=/b,ro img",
        "docker run --mount readonly,dst=/b,src=/a,type=bind img",
    ),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_spellings_of_one_command_are_one_spec(one: str, other: str) -> None:
    assert from_argv(shlex.split(one)) == from_argv(shlex.split(other))


def test_the_rke_command_as_the_runbook_writes_it() -> None:
    spec = from_argv(
        shlex.split(
            "docker run --name=etcd --restart=always -d --net=host -e ETCDCTL_API=3 --env ETCD_NAME=x"
            " -v /var/lib/etcd:/var/lib/rancher/etcd/:z --label io.rancher.rke.container.name=etcd"
            " rancher/coreos-etcd:v3.4.3-rancher1 /usr/local/bin/etcd --name=etcd-node1 --client-cert-auth"
        )
    )
    assert spec == ContainerSpec(
        image="rancher/coreos-etcd:v3.4.3-rancher1",
        name="etcd",
        restart="always",
        attach=(),
        network="host",
        env=("ETCDCTL_API=3", "ETCD_NAME=x"),
        binds=("/var/lib/etcd:/var/lib/rancher/etcd/:z",),
        labels=(("io.rancher.rke.container.name", "etcd"),),
        command=("/usr/local/bin/etcd", "--name=etcd-node1", "--client-cert-auth"),
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("docker run --isolation hyperv img", "--isolation"),
        ("docker run --wibble img", "--wibble"),
        ("docker run -z img", "-z"),
        ("docker run --env-file /x img", "--env-file=/x"),
        ("docker run -v ./data:/x img", "./data"),
        ("docker run --security-opt seccomp=/p.json img", "seccomp=/p.json"),
        ("docker run --platform linux/arm64 img", "--platform"),
    ],
)
def test_an_option_that_cannot_be_kept_is_named(text: str, named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        from_argv(shlex.split(text))


@pytest.mark.parametrize(
    "text",
    [
        "docker ps",
        "docker run",
        "docker run --env",
        "docker run -m lots img",
        "docker run -p x img",
        "docker run --tty=maybe i",
    ],
)
def test_what_docker_refuses_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        from_argv(shlex.split(text))


def test_files_that_options_name_are_read_from_what_is_given() -> None:
    files = {"/e": "# no\nA=1\n\n  B= 2 \n", "/l": "x=y\n", "/p": '{ "defaultAction": "SCMP_ACT_ALLOW" }'}
    line = "docker run --env-file /e --label-file /l --security-opt seccomp=/p -e A=3 img"
    spec = from_argv(shlex.split(line), files=files)
    assert spec.env == ("A=1", "B= 2 ", "A=3")
    assert spec.environment == {"A": "3", "B": " 2 "}
    assert spec.label("x") == "y"
    assert seccomp_profile(spec) == '{"defaultAction":"SCMP_ACT_ALLOW"}'
    with pytest.raises(Unsupported, match="SecurityOpt"):
        to_argv(spec)
    assert "--security-opt=seccomp=/q" in to_argv(spec, seccomp_file="/q")
    assert render(spec).startswith("cat > ./container-seccomp.json <<'END-OF-PROFILE'\n{")


def test_the_environment_stays_off_the_command_line() -> None:
    spec = ContainerSpec("img", env=("A=secret1", "odd-name.x=secret2", "MULTI=two\nsecret3", "CR=secret4\r", "NONE"))
    line = to_argv(spec, env_file="/dev/fd/3")
    assert "secret" not in " ".join(line)
    assert [word for word in line if "env" in word] == [
        "--env-file=/dev/fd/3",
        "--env=MULTI",
        "--env=CR",
        "--env=NONE",
    ]
    assert env_file_lines(spec) == ("A=secret1", "odd-name.x=secret2")
    assert env_inherited(spec) == {"MULTI": "two\nsecret3", "CR": "secret4\r", "NONE": None}
    read = from_argv(line, files={"/dev/fd/3": "\n".join(env_file_lines(spec))})
    assert set(read.env) == {"A=secret1", "odd-name.x=secret2", "MULTI", "CR", "NONE"}


def test_a_variable_that_fits_nowhere_is_named_and_its_value_is_not() -> None:
    with pytest.raises(Unsupported, match="a name") as caught:
        to_argv(ContainerSpec("img", env=("a name=secret\n",)), env_file="/dev/fd/3")
    assert "secret" not in caught.value.message


def test_masked_hides_what_looks_secret_and_leaves_paths() -> None:
    spec = ContainerSpec(
        "img",
        env=("ETCD_ROOT_PASSWORD=x", "ETCDCTL_USER=root:x", "ETCDCTL_KEY=/etc/k.pem", "AWS_SECRET_ACCESS_KEY=x", "A=x"),
    )
    assert [entry.partition("=")[2] for entry in masked(spec).env] == ["***", "***", "/etc/k.pem", "***", "***"]


def test_masked_hides_secrets_wherever_they_stand() -> None:
    spec = ContainerSpec(
        "img",
        env=("DATABASE_URL=postgres://u:hunter2@h/d", "ETCD_DISCOVERY=http://u:hunter3@h/x", "ETCD_NAME=n1", "E="),
        labels=(("registry-token", "hunter4"), ("a", "b")),
        log_opts=(("splunk-token", "hunter5"),),
        command=(
            "etcd",
            "--root-password=hunter6",
            "--key-file=/k.pem",
            "--initial-cluster-token=t",
            "http://u:hunter7@h",
        ),
    )
    shown = repr(masked(spec))
    assert "hunter" not in shown
    assert all(kept in shown for kept in ("ETCD_NAME=n1", "/k.pem", "initial-cluster-token=t", "@h/x"))
    told = " ".join(secrets_of(spec))
    assert all(f"hunter{number}" in told for number in range(2, 8))
    assert "n1" not in told


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (ContainerSpec("i", healthcheck=Healthcheck(("CMD", "etcdctl"))), "Healthcheck.Test.*etcdctl"),
        (ContainerSpec("i", labels=(("a=b", "c"),)), "a=b"),
        (ContainerSpec("i", tmpfs=(("/a:b", ""),)), "Tmpfs.*/a:b"),
        (ContainerSpec("i", devices=(Device("/a:b", "/c"),)), "Devices.*/a:b"),
        (ContainerSpec("i", mounts=(Mount("bind", "/a ", "/b"),)), "Mounts.*src='/a '"),
        (ContainerSpec("i", device_requests=(DeviceRequest("", 2, ("0",)),)), "DeviceRequests"),
        (ContainerSpec("i", more_networks=(("n", Endpoint(links=("a:b",))),)), "Networks.n.Links"),
    ],
)
def test_what_no_command_line_can_say_is_named(spec: ContainerSpec, named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        to_argv(spec)


def test_a_start_in_the_foreground_is_kept_or_refused() -> None:
    assert "--attach=stdin" in to_argv(ContainerSpec("i", attach=("stdin", "stderr")), detach=None)
    assert "--detach" in to_argv(ContainerSpec("i", attach=()), detach=None)
    assert "--detach" not in to_argv(ContainerSpec("i"), detach=None)
    with pytest.raises(Unsupported, match="AttachStdin"):
        to_argv(ContainerSpec("i", attach=()), verb="create", detach=None)
    assert to_argv(ContainerSpec("i", attach=()), verb="create") == ("docker", "create", "i")


def test_an_entrypoint_of_several_words_leads_the_command() -> None:
    spec = ContainerSpec("i", entrypoint=("tini", "--", "etcd"), command=("--name=x",))
    assert to_argv(spec) == ("docker", "run", "--detach", "--entrypoint=tini", "i", "--", "etcd", "--name=x")
    assert from_argv(to_argv(spec)).argv == spec.argv


def test_options_that_old_clients_lack_are_listed() -> None:
    assert (
        needs_api(
            ContainerSpec("i", binds=("/a:/b:z",), network="host", restart="always", ulimits=(Ulimit("a", 1, 1),))
        )
        == ()
    )
    spec = ContainerSpec(
        "i",
        cgroupns="host",
        mounts=(Mount("bind", "/a", "/b"),),
        security_opts=("systempaths=unconfined",),
        more_networks=(("n", Endpoint()),),
    )
    assert needs_api(spec) == (
        ("cgroupns", "1.41"),
        ("mount", "1.30"),
        ("network, several", "1.44"),
        ("security-opt systempaths", "1.40"),
    )


def test_the_text_can_be_pasted() -> None:
    spec = ContainerSpec("i", env=("A=a 'b' $c\n*",), command=("etcd", ""), publish=(Port("80"),), cpus=500_000_000)
    text = render(spec)
    assert shlex.split(text.replace("\\\n", "")) == list(to_argv(spec))
    assert text.splitlines()[0] == "docker run \\"
    assert text.endswith("\n")


def test_json_has_what_is_set() -> None:
    spec = ContainerSpec(
        "i", labels=(("a", "b"),), publish=(Port("80", host="8080"),), device_read_bps=(Throttle("/dev/sda", 5),)
    )
    assert to_json(spec) == {
        "image": "i",
        "labels": {"a": "b"},
        "publish": [{"container": "80", "protocol": "tcp", "host": "8080"}],
        "device_read_bps": [{"path": "/dev/sda", "rate": 5}],
    }


NASTY = "$(touch pwned)`touch pwned`;touch pwned;'\"\\\n\x1b[2J\x9b2J\r%s%n& |\n"


def test_what_is_printed_to_be_pasted_runs_nothing_and_moves_no_cursor(tmp_path: Path) -> None:
    """Whatever a node says stands in it; sh gives the program exactly that."""
    spec = ContainerSpec(NASTY, env=(f"A={NASTY}",), labels=(("l", NASTY),), command=(NASTY, ""), hostname=NASTY)
    text = render(spec)
    assert not {"\x1b", "\x9b", "\r"} & set(text)
    (tmp_path / "docker").write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
    (tmp_path / "docker").chmod(0o755)
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shell],
            input=text.encode(),
            capture_output=True,
            check=True,
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}:/bin"},
        )
        assert done.stdout.decode().split("\0")[:-1] == list(to_argv(spec))[1:]
    assert [path.name for path in tmp_path.iterdir()] == ["docker"]


def test_a_seccomp_profile_does_not_end_its_here_document(tmp_path: Path) -> None:
    profile = '{"a": "\nEND-OF-PROFILE\ntouch pwned\n"}'
    text = render(ContainerSpec("i", security_opts=(f"seccomp={profile}",), name="n"))
    env = {"PATH": f"{tmp_path}:/bin"}
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    subprocess.run(["sh"], input=text.encode(), check=True, cwd=tmp_path, env=env)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docker", "n-seccomp.json"]
