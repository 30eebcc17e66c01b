from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from fleetrecover.errors import InputError
from fleetrecover.inventory import SECTIONS, load_fleet
from fleetrecover.model import Fleet, Host

EXAMPLE = Path(__file__).parents[1] / "hosts.example.toml"
HOST = '[[hosts]]\nname = "etcd1"\naddress = "10.0.0.11"\n'
MINIMAL = f'cluster = "prod"\n{HOST}'


def load(tmp_path: Path, text: str | bytes) -> Fleet:
    path = tmp_path / "hosts.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_fleet(path)


def test_the_smallest_inventory(tmp_path: Path) -> None:
    fleet = load(tmp_path, MINIMAL)
    assert (fleet.cluster, fleet.hosts, fleet.source) == (
        "prod",
        (Host("etcd1", "10.0.0.11"),),
        tmp_path / "hosts.toml",
    )
    assert (fleet.ssh, fleet.etcd, fleet.kubernetes) == tuple(kind() for kind in SECTIONS.values())


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        """
        cluster = "prod"
        ssh = {user = "ops", port = 2222, key = "~/k", known_hosts = "/kh", connect_timeout = 3, sudo = true}
        etcd = {container = "e", cli = "podman", snapshots = "/s"}
        kubernetes = {restart = []}
        [[hosts]]
        name = "a"
        address = "fd00::1"
        etcd_address = "10.0.0.1"
        user = "x"
        port = 1
        key = "/k2"
        gateway = "none"
        """,
    )
    assert fleet.ssh.key == Path("~/k").expanduser()
    assert fleet.ssh.connect_timeout == 3.0
    assert fleet.ssh.sudo is True
    assert fleet.etcd.cli == "podman"
    assert fleet.kubernetes.restart == ()
    assert fleet.hosts == (Host("a", "fd00::1", "10.0.0.1", "x", 1, Path("/k2"), "none"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cluster is missing"),
        ("cluster = 1", "cluster is 1, not a string"),
        ('cluster = "a b"', "cluster is 'a b', which is not a safe name"),
        ('cluster = ""', "not a safe name"),
        ('cluster = "-rf"', "not a safe name"),
        ('cluster = "prod"', "there are no hosts"),
        ('cluster = "prod"\nhosts = []', "there are no hosts"),
        ('cluster = "prod"\nhosts = ["a"]', "hosts is not a list of tables"),
        ('cluster = "prod"\n[hosts]\nname = "a"', "hosts is not a list of tables"),
        (f'clustre = "x"\n{MINIMAL}', "clustre is not a known key"),
        (f"{MINIMAL}[ssh]\nport = true", "[ssh]: port is true, not a whole number"),
        (f"{MINIMAL}[ssh]\nport = 22.0", "[ssh]: port is 22.0, not a whole number"),
        (f'{MINIMAL}[ssh]\nport = "22"', "[ssh]: port is the string '22', not a whole number"),
        (f"{MINIMAL}[ssh]\nport = 0", "[ssh]: port is 0, which is not a port"),
        (f"{MINIMAL}[ssh]\nport = 65536", "[ssh]: port is 65536, which is not a port"),
        (f"{MINIMAL}[ssh]\nsudo = 1", "[ssh]: sudo is 1, not true or false"),
        (f'{MINIMAL}[ssh]\nsudo = "yes"', "[ssh]: sudo is the string 'yes', not true or false"),
        (f"{MINIMAL}[ssh]\nconnect_timeout = true", "[ssh]: connect_timeout is true, not a number"),
        (f"{MINIMAL}[ssh]\nconnect_timeout = 0", "[ssh]: connect_timeout is 0"),
        (f"{MINIMAL}[ssh]\nconnect_timeout = nan", "[ssh]: connect_timeout is nan"),
        (f"{MINIMAL}[ssh]\nkey = 3", "[ssh]: key is 3, not a path"),
        (f'{MINIMAL}[ssh]\nkey = ""', "[ssh]: key is empty"),
        (f'{MINIMAL}[ssh]\nuser = "root@x"', "[ssh]: user is 'root@x'"),
        (f'{MINIMAL}[ssh]\ngateway = "-oProxyCommand=x"', "[ssh]: gateway is '-oProxyCommand=x'"),
        (f'{MINIMAL}[etcd]\ncontainer = "a\\nb"', "[etcd]: container holds a control character"),
        (f'{MINIMAL}[kubernetes]\nrestart = "x"', "[kubernetes]: restart is the string 'x', not a list of strings"),
        (f"{MINIMAL}[kubernetes]\nrestart = [1]", "[kubernetes]: restart is a list, not a list of strings"),
        ('cluster = "a"\nssh = 3\n' + HOST, "ssh is 3, but it is a table"),
        ('cluster = "a"\n[[hosts]]\naddress = "b"', "[[hosts]] number 1: name is missing"),
        ('cluster = "a"\n[[hosts]]\nname = "b"', "[[hosts]] number 1 (b): address is missing"),
        (f'{MINIMAL}[[hosts]]\nname = "b/c"\naddress = "x"', "[[hosts]] number 2 (b/c): name is 'b/c'"),
        (f'{MINIMAL}[[hosts]]\nname = "b"\naddress = "-x"', "[[hosts]] number 2 (b): address is '-x'"),
        (f'{MINIMAL}[[hosts]]\nname = "b"\naddress = "root@x"', "[[hosts]] number 2 (b): address is 'root@x'"),
        (f'{MINIMAL}[[hosts]]\nname = "b"\naddress = "x"\nport = -1', "[[hosts]] number 2 (b): port is -1"),
        (f'{MINIMAL}[[hosts]]\nname = "etcd1"\naddress = "x"', "number 2: the name etcd1 is also that of number 1"),
        (f'{MINIMAL}[[hosts]]\nname = "b"\naddress = "10.0.0.11"', "10.0.0.11 is also that of number 1 (etcd1)"),
        (
            'cluster = "a"\n[[hosts]]\nname = "a"\naddress = "FD00::1"\n[[hosts]]\nname = "b"\naddress = "fd00:0::1"',
            "its address fd00:0::1 is also that of number 1 (a)",
        ),
        (
            f'{MINIMAL}etcd_address = "10.1.1.1"\n[[hosts]]\nname = "b"\naddress = "x"\netcd_address = "10.1.1.1"',
            "its etcd_address 10.1.1.1 is also that of number 1 (etcd1)",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        load(tmp_path, text)
    assert caught.value.message.startswith(str(tmp_path / "hosts.toml"))
    assert caught.value.hint
    assert caught.value.code == 3


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (f"{MINIMAL}[ssh]\nportt = 2", "did you mean port?"),
        (f"{MINIMAL}adress = 'x'", "did you mean address?"),
        (f"{MINIMAL}[ssh]\ncontainer = 'etcd'", "it belongs under [etcd]"),
        (f"{MINIMAL}[etcd]\nzzz = 1", "known here: container, cli, snapshots"),
    ],
)
def test_an_unknown_key_gets_a_suggestion(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(InputError, match="is not a known key") as caught:
        load(tmp_path, text)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('cluster = "prod"\n\nport = = 3\n', "line 3: Invalid value: port = = 3"),
        ('cluster = "prod"\nport = 22\nport = 23\n', "line 3: Cannot overwrite a value: port = 23"),
        ('cluster = "prod"\nuser = "x', "line 2: the file ends too early"),
        (b'cluster = "prod"\nuser = "\xff"\n', "line 2: it is not UTF-8"),
    ],
)
def test_a_syntax_error_has_its_line(tmp_path: Path, text: str | bytes, line: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert line in caught.value.message


def test_hosts_behind_one_address_need_ports_of_their_own(tmp_path: Path) -> None:
    table = '[[hosts]]\nname = "{}"\naddress = "x"\nport = {}\n'
    text = f'cluster = "a"\n{table.format("a", 1)}{table.format("b", "{}")}'
    assert len(load(tmp_path, text.format(2)).hosts) == 2
    with pytest.raises(InputError, match="also that of number 1"):
        load(tmp_path, text.format(1))


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEETRECOVER_INVENTORY", raising=False)
    for name in ("argument", "environment", "hosts"):
        (tmp_path / f"{name}.toml").write_text(MINIMAL.replace("prod", name))
    assert load_fleet(None).cluster == "hosts"
    monkeypatch.setenv("FLEETRECOVER_INVENTORY", "environment.toml")
    assert load_fleet(None).cluster == "environment"
    assert load_fleet(Path("argument.toml")).cluster == "argument"


def test_a_missing_inventory_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEETRECOVER_INVENTORY", "nowhere.toml")
    with pytest.raises(
        InputError, match=r"nowhere\.toml: there is no such inventory \(\$FLEETRECOVER_INVENTORY\)"
    ) as caught:
        load_fleet(None)
    assert "fleetrecover init --from HOST" in str(caught.value.hint)


def test_a_directory_is_no_inventory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_fleet(tmp_path)


def test_the_example_loads() -> None:
    fleet = load_fleet(EXAMPLE)
    assert [host.name for host in fleet.hosts] == ["etcd1", "etcd2", "etcd3"]
    assert (fleet.ssh, fleet.etcd, fleet.kubernetes) == tuple(kind() for kind in SECTIONS.values())


def test_the_example_loads_with_every_key_in_use(tmp_path: Path) -> None:
    text = re.sub(r"^# (?=\w+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    fleet = load(tmp_path, text)
    for kind in (fleet.ssh, fleet.hosts[0]):
        assert all(getattr(kind, field.name) is not None for field in fields(kind))


@pytest.mark.parametrize("section", [*SECTIONS, "hosts"])
def test_the_example_has_every_key(section: str) -> None:
    """A key with a default stands there with it; one without stands there commented out."""
    kind = SECTIONS.get(section, Host)
    header = f"[[{section}]]" if section == "hosts" else f"[{section}]"
    block = EXAMPLE.read_text().split(f"\n{header}")[1].split("\n[")[0]
    for field in fields(kind):
        pattern = rf"^# {field.name} = " if field.default is None else rf"^{field.name} = "
        assert re.search(pattern, block, re.MULTILINE), f"{header} lacks {field.name}"
        assert field.default is not MISSING or section == "hosts"


# --- addresses, byte order marks and line ends, as people write them


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("10.0.0.11", "10.0.0.11", None),
        ("10.0.0.11:2222", "10.0.0.11", 2222),
        ("etcd1.example.net:22", "etcd1.example.net", 22),
        ("etcd_1", "etcd_1", None),
        ("7seven", "7seven", None),
        ("etcd1.example.net.", "etcd1.example.net.", None),
        ("fd00::1", "fd00::1", None),
        ("::1", "::1", None),
        ("[fd00::1]", "fd00::1", None),
        ("[fd00::1]:2222", "fd00::1", 2222),
        ("fe80::1%eth0", "fe80::1%eth0", None),
        ("[fe80::1%eth0.100]:23", "fe80::1%eth0.100", 23),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1", None),
        ("fd00::1:2222", "fd00::1:2222", None),  # an address like any other: a port stands behind brackets
    ],
)
def test_an_address_may_have_a_port(tmp_path: Path, address: str, host: str, port: int | None) -> None:
    [found] = load(tmp_path, f'cluster = "a"\n[[hosts]]\nname = "n"\naddress = "{address}"\n').hosts
    assert (found.address, found.port) == (host, port)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('address = "10.0.0.300"', "'10.0.0.300', which is neither a host name nor an IP address"),
        ('address = "010.0.0.1"', "neither a host name nor an IP address"),
        ('address = "10.0.0.0/24"', "neither a host name nor an IP address"),
        ('address = "10.0.0"', "neither a host name nor an IP address"),
        ('address = "fd00:::1"', "neither a host name nor an IP address"),
        ('address = "fd00::1%"', "neither a host name nor an IP address"),
        ('address = "fd00::1%a b"', "neither a host name nor an IP address"),
        ('address = "[10.0.0.1]:22"', "neither a host name nor an IP address"),
        ('address = "[fd00::1"', "neither a host name nor an IP address"),
        ('address = "[fd00::1]22"', "neither a host name nor an IP address"),
        ('address = "ssh://etcd1"', "'//etcd1' is not a port"),
        ('address = "root@etcd1"', "neither a host name nor an IP address"),
        ('address = "etcd1:"', "'' is not a port"),
        ('address = "etcd1:0"', "'0' is not a port"),
        ('address = "etcd1:ssh"', "'ssh' is not a port"),
        ('address = "etcd1:65536"', "'65536' is not a port"),
        ('address = "etcd1:22"\nport = 23', "address is 'etcd1:22', but port is 23"),
        ('address = "x"\netcd_address = "10.9.1.1:2380"', "etcd_address is '10.9.1.1:2380', but takes no port"),
        ('address = "x"\netcd_address = "[fd00::1]:2380"', "etcd_address is '[fd00::1]:2380', but takes no port"),
        ('address = "x"\netcd_address = "https://10.9.1.1:2380"', "etcd_address is 'https://10.9.1.1:2380'"),
        ('address = "x"\netcd_address = "10.9.1.1:peer"', "'peer' is not a port"),
    ],
)
def test_an_address_that_is_none(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, f'cluster = "a"\n[[hosts]]\nname = "n"\n{line}\n')
    assert said in caught.value.message
    assert caught.value.hint
    assert "[[hosts]] number 1 (n)" in caught.value.message


def test_the_same_port_twice_is_no_contradiction(tmp_path: Path) -> None:
    [host] = load(tmp_path, 'cluster = "a"\n[[hosts]]\nname = "n"\naddress = "x:23"\nport = 23\n').hosts
    assert (host.address, host.port) == ("x", 23)


def test_brackets_are_no_part_of_an_address(tmp_path: Path) -> None:
    text = 'cluster = "a"\n[[hosts]]\nname = "n"\naddress = "x"\netcd_address = "[fd00::1]"\n'
    assert load(tmp_path, text).hosts[0].etcd_address == "fd00::1"


def test_one_place_written_in_two_ways_is_one_node_twice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its address fd00::1 is also that of number 1 \(a\)"):
        load(
            tmp_path,
            'cluster = "a"\n[[hosts]]\nname = "a"\naddress = "[FD00::1]:22"\n[[hosts]]\nname = "b"\naddress = "fd00::1"',
        )


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + MINIMAL.encode(),
        MINIMAL.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode(),
        f"# R\u00e4chner\r\n{MINIMAL}".encode(),
        MINIMAL.rstrip("\n").encode(),
    ],
    ids=["bom", "crlf", "both", "umlaut", "no last newline"],
)
def test_files_of_other_editors(tmp_path: Path, data: bytes) -> None:
    assert load(tmp_path, data).hosts == (Host("etcd1", "10.0.0.11"),)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_said_to_be_so(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    with pytest.raises(InputError, match=r"hosts\.toml, line 1: it is UTF-16, by its byte order mark") as caught:
        load(tmp_path, (mark + MINIMAL).encode(encoding))
    assert caught.value.hint == "save the file in UTF-8"


# --- the further keys


def test_the_further_keys(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        f"""{MINIMAL}gateway_key = "~/j"
        container = "etcd1"
        runtime = "podman"
        [ssh]
        gateway_key = "/jump"
        client = "openssh"
        [etcd]
        runtime = "systemd"
        unit = "etcd.service"
        """,
    )
    assert (fleet.ssh.gateway_key, fleet.ssh.client) == (Path("/jump"), "openssh")
    assert (fleet.etcd.runtime, fleet.etcd.unit) == ("systemd", "etcd.service")
    [host] = fleet.hosts
    assert (host.gateway_key, host.container, host.runtime) == (Path("~/j").expanduser(), "etcd1", "podman")


def test_the_further_keys_have_defaults(tmp_path: Path) -> None:
    fleet = load(tmp_path, MINIMAL)
    assert (fleet.ssh.gateway_key, fleet.ssh.client, fleet.etcd.runtime, fleet.etcd.unit) == (
        None, "paramiko", "docker", None,
    )  # fmt: skip
    assert (fleet.hosts[0].gateway_key, fleet.hosts[0].container, fleet.hosts[0].runtime) == (None, None, None)


@pytest.mark.parametrize(
    ("table", "said", "hint"),
    [
        ('[ssh]\nclient = "putty"', "[ssh]: client is 'putty'", "paramiko, openssh"),
        ('[etcd]\nruntime = "lxc"', "[etcd]: runtime is 'lxc'", "docker, podman, systemd, static-pod"),
        ('runtime = "Docker"', "runtime is 'Docker'", "docker, podman"),
    ],
)
def test_a_word_that_is_none_of_the_few(tmp_path: Path, table: str, said: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, MINIMAL + table)
    assert said in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[ssh]\nkey = "~nobody-of-that-name/k"', "key is .*no such user"),
        ('[ssh]\nknown_hosts = "~nobody-of-that-name/k"', "known_hosts is .*no such user"),
        ('[ssh]\ngateway = "a b"', "gateway is 'a b'"),
        ('[etcd]\ncontainer = "a b"', "container is 'a b'"),
        ('[etcd]\ncontainer = "-x"', "container is '-x'"),
    ],
)
def test_a_value_that_cannot_be_one(tmp_path: Path, table: str, said: str) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(f'cluster = "c"\n{table}\n[[hosts]]\nname = "a"\naddress = "10.0.0.1"\n')
    with pytest.raises(InputError, match=said) as caught:
        load_fleet(path)
    assert caught.value.hint


def test_an_inventory_in_the_home_of_nobody() -> None:
    with pytest.raises(InputError, match="there is no such inventory"):
        load_fleet(Path("~nobody-of-that-name/hosts.toml"))
