"""What of the lab is pure: addresses, generated files, apt's configuration, container commands, certificates."""

from __future__ import annotations

import ipaddress
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from fleetrecover.errors import InputError
from fleetrecover.lab import apt, client, files, host, image, install, layout, packages, pki, rke
from fleetrecover.lab.layout import LabState


def lab_state(nodes: int = 3, **changes: object) -> LabState:
    return LabState(
        name="demo",
        directory="/var/lib/fleetrecover-lab/demo",
        subnet="10.77.1.0/24",
        etcd="3.4.23",
        hosts=layout.make_hosts("10.77.1.0/24", nodes),
        **changes,  # type: ignore[arg-type]
    )


class TestLayout:
    def test_state_survives_being_written(self) -> None:
        state = lab_state()
        assert layout.loads(state.dumps()) == state

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"hosts": [1]}', '{"name": "x", "hosts": []}'])
    def test_a_broken_state_is_an_input_error(self, text: str) -> None:
        with pytest.raises(InputError):
            layout.loads(text)

    def test_names_of_links_fit_the_kernel(self) -> None:
        state = lab_state(7)
        for name in (state.bridge, *(state.veth(spec) for spec in state.hosts)):
            assert len(name) <= 15

    def test_member_and_certificate_have_different_names(self) -> None:
        spec = lab_state().hosts[0]
        assert (spec.member, spec.certificate) == ("etcd-node1", "kube-etcd-10-77-1-11")

    @given(st.integers(0, 0xFFFFFF))
    def test_the_subnet_is_free(self, number: int) -> None:
        taken = ["10.64.0.0/10", "10.130.0.0/16", "192.168.0.0/24"]
        subnet = ipaddress.ip_network(layout.choose_subnet(f"{number:06x}", taken))
        assert subnet.prefixlen == 24
        assert not any(subnet.overlaps(ipaddress.ip_network(text)) for text in taken)

    def test_no_subnet_left_is_said(self) -> None:
        with pytest.raises(InputError, match="no free"):
            layout.choose_subnet("000000", ["10.0.0.0/8"])

    def test_default_routes_and_ipv6_are_no_obstacle(self) -> None:
        routes = '[{"dst": "default"}, {"dst": "10.0.0.0/16"}, {"dst": "10.1.2.3"}, {"dst": "fe80::/64"}]'
        assert layout.taken_networks(routes) == ["10.0.0.0/16", "10.1.2.3"]

    @pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 33, "a b"])
    def test_bad_names_are_refused(self, name: str) -> None:
        with pytest.raises(InputError):
            layout.check_name(name)

    @pytest.mark.parametrize("nodes", [0, 8])
    def test_too_few_and_too_many_hosts(self, nodes: int) -> None:
        with pytest.raises(InputError):
            layout.make_hosts("10.77.1.0/24", nodes)


class TestFiles:
    def test_the_inventory_is_toml_of_the_documented_shape(self) -> None:
        parsed = tomllib.loads(files.inventory(lab_state(), Path("/k"), Path("/h")))
        assert parsed["cluster"] == "demo"
        assert parsed["ssh"] == {"user": "root", "port": 22, "key": "/k", "known_hosts": "/h"}
        assert parsed["hosts"][2] == {"name": "etcd3", "address": "10.77.1.13"}

    def test_scripts_are_sh(self) -> None:
        state = lab_state()
        for text in (
            files.boot_script(state, state.hosts[0], "sshd"),
            files.dockerd_script(state, state.hosts[0], "d"),
        ):
            done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")

    def test_accounts_are_added_once_and_none_stays_locked(self) -> None:
        passwd, group, shadow = "root:x:0:0::/root:/bin/sh\n", "root:x:0:\n", "root:!:1::::::\nbin:*:1::::::\n"
        once = files.Accounts.extend(passwd, group, shadow)
        assert files.Accounts.extend(once.passwd, once.group, once.shadow) == once
        assert once.passwd.count("\nops:") == 1
        assert "root:!" not in once.shadow
        assert "root:*:" in once.shadow
        assert "nosudo:*:" in once.shadow

    def test_every_host_knows_every_other(self) -> None:
        state = lab_state()
        assert "10.77.1.12 node2 etcd2" in files.hosts_file(state, state.hosts[0])


class TestContainers:
    def test_the_shape_is_rkes(self) -> None:
        state = lab_state()
        argv = rke.etcd_run(state.hosts[0], state.hosts, "3.4.23")
        assert "--restart=always" in argv
        assert "--label=io.rancher.rke.container.name=etcd" in argv
        assert argv[argv.index(rke.image_name("3.4.23")) + 1] == "/usr/local/bin/etcd"
        assert "--cert-file=/etc/kubernetes/ssl/kube-etcd-10-77-1-11.pem" in argv

    def test_only_flags_that_the_version_knows(self) -> None:
        state = lab_state()

        def names(version: str) -> set[str]:
            return {flag.split("=")[0] for flag in rke.etcd_flags(state.hosts[0], state.hosts, version)}

        assert "--cipher-suites" not in names("3.3.25")
        assert "--enable-v2" in names("3.4.23")
        assert "--enable-v2" not in names("3.5.16")

    def test_an_internal_address_is_listened_on_alone(self) -> None:
        state = lab_state()
        argv = rke.etcd_run(state.hosts[0], state.hosts, "3.5.16", internal=True)
        assert "--listen-client-urls=https://10.77.1.11:2379" in argv
        assert "--env=ETCDCTL_ENDPOINTS=https://10.77.1.11:2379" in argv


class TestApt:
    def test_one_line_style(self) -> None:
        text = (
            "# comment\n"
            "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib # more\n"
            "deb-src http://mirror.example/debian bookworm main\n"
            "deb http://flat.example/repo ./\n"
        )
        assert list(apt.parse_one_line(text)) == [
            apt.Source("http://mirror.example/debian", ("bookworm",), ("main", "contrib"))
        ]

    def test_deb822_style(self) -> None:
        text = (
            "Types: deb deb-src\n# a comment is no end\nURIs: http://a.example/debian\n  http://b.example/debian\n"
            "Suites: trixie trixie-updates\nComponents: main\nSigned-By:\n -----BEGIN-----\n .\n\n"
            "Types: deb\nURIs: http://off.example\nSuites: x\nComponents: main\nEnabled: no\n\n"
            "Types: deb-src\nURIs: http://src.example\nSuites: x\nComponents: main\n"
        )
        found = list(apt.parse_deb822(text))
        assert [source.uri for source in found] == ["http://a.example/debian", "http://b.example/debian"]
        assert found[0].suites == ("trixie", "trixie-updates")

    def test_configuration_in_both_styles_and_a_mirror_list(self, tmp_path: Path) -> None:
        folder = tmp_path / "sources.list.d"
        folder.mkdir()
        (tmp_path / "mirrors").write_text("http://fast.example/ubuntu priority:1\n# no\n")
        (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\ndeb cdrom:[x]/ b main\n")
        (folder / "a.sources").write_text(
            f"Types: deb\nURIs: mirror+file:{tmp_path}/mirrors\nSuites: noble\nComponents: main universe\n"
        )
        (folder / "b.list").write_text("deb http://other.example stable tool\n")
        (folder / "c.list.bak").write_text("deb http://bak.example stable main\n")
        sources = apt.configured_sources(tmp_path)
        assert apt.mirrors(sources) == ["http://one.example/debian", "http://fast.example/ubuntu"]
        assert apt.suites(sources) == ["bookworm", "noble"]

    def test_security_mirrors_come_last(self) -> None:
        sources = [apt.Source(uri, (), ("main",)) for uri in ("http://x/debian-security", "http://x/debian")]
        assert apt.mirrors(sources) == ["http://x/debian", "http://x/debian-security"]

    def test_index(self) -> None:
        text = (
            "Package: etcd-server-extra\nVersion: 1\nFilename: x\nSHA256: y\n\n"
            "Package: etcd-server\nVersion: 3.5.16-4\nDescription: a: b\n more: text\n"
            "Filename: pool/e.deb\nSHA256: 00\n\nPackage: etcd-client\nVersion: 1\n"
        )
        found = list(apt.parse_index(text, ("etcd-server", "etcd-client")))
        assert found == [apt.Package("etcd-server", "3.5.16-4", "pool/e.deb", "00")]

    @pytest.mark.parametrize(
        ("version", "upstream"), [("3.3.25+dfsg-6+b6", "3.3.25"), ("1:2.36-9", "2.36"), ("weird", "")]
    )
    def test_upstream_version(self, version: str, upstream: str) -> None:
        assert apt.Package("x", version, "", "").upstream == upstream

    def test_a_wrong_checksum_is_noticed(self) -> None:
        with pytest.raises(InputError, match="checksum"):
            apt.verified(b"x", "00" * 32, "somewhere")

    def test_pins_are_complete(self) -> None:
        versions = {package.upstream for package in packages.PINNED}
        assert versions == {"3.3.25", "3.4.23", "3.5.16", "3.5.30"}
        for version in versions:
            assert {package.name for package in packages.PINNED if package.upstream == version} == set(packages.NAMES)

    def test_a_version_is_three_numbers(self) -> None:
        with pytest.raises(InputError):
            packages.etcd_programs("../../etc", lambda _: None)

    def test_needed_glibc(self) -> None:
        assert packages.needed_glibc(b"..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.4\0") == (2, 34)
        assert packages.needed_glibc(b"static") == (0,)


class TestImage:
    def test_what_ldd_says(self) -> None:
        text = (
            "\tlinux-vdso.so.1 (0x00007f)\n"
            "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n"
            "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n"
        )
        assert image.linked_paths(text) == ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        assert image.linked_paths("\tnot a dynamic executable\n") == []


class TestCertificates:
    def test_a_pair_names_address_and_hosts(self) -> None:
        authority = pki.Authority()
        pair = authority.issue("kube-etcd", ["10.0.0.1", "127.0.0.1"], ["node1", "localhost"])
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "127.0.0.1"]
        assert names.get_values_for_type(x509.DNSName) == ["node1", "localhost"]

    def test_ssh_keys_differ(self) -> None:
        one, two = pki.ssh_key(), pki.ssh_key()
        assert one.public.startswith("ssh-ed25519 ")
        assert one.public != two.public
        assert one.private.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")


class TestClient:
    @pytest.mark.parametrize(
        ("keys", "prefix"),
        [([], ""), (["/a"], "/a"), (["/w/01", "/w/02"], "/w/0"), (["/a", "/a/b"], "/a"), (["x", "y"], "")],
    )
    def test_common_prefix(self, keys: list[str], prefix: str) -> None:
        assert client.common_prefix(keys) == prefix

    @given(st.text())
    def test_encoding_is_undone(self, text: str) -> None:
        assert client.decode(client.encode(text)) == text

    def test_values_belong_to_their_keys(self) -> None:
        assert client.value_of("/k", 8) == "/k=xxxxx"
        assert client.value_of("/long", 2) == "/long="


class TestHost:
    def test_a_private_file_is_private_from_the_start(self, tmp_path: Path) -> None:
        target = tmp_path / "key"
        host.write_private(target, b"1")
        host.write_private(target, b"22")
        assert target.read_bytes() == b"22"
        assert stat.S_IMODE(target.stat().st_mode) == 0o600

    def test_clearing_follows_no_links(self, tmp_path: Path) -> None:
        outside, inside = tmp_path / "outside", tmp_path / "inside"
        outside.mkdir()
        (outside / "kept").touch()
        inside.mkdir()
        (inside / "link").symlink_to(outside)
        (inside / "folder").mkdir()
        (inside / "folder" / "file").touch()
        host.clear_directory(inside)
        assert list(inside.iterdir()) == []
        assert (outside / "kept").exists()

    def test_only_paths_of_the_own_disk_can_be_looked_at(self) -> None:
        one = host.LabHost("etcd1", "node1", "10.0.0.1", Path("/lab/etcd1"), None)
        assert one.path("/var/lib/etcd") == Path("/lab/etcd1/disk/var/lib/etcd")
        with pytest.raises(ValueError, match="not below"):
            one.path("/var/library")


class TestInstall:
    def test_the_first_available_package_is_taken(self) -> None:
        assert install.packages_for(["docker", "dockerd"], ["docker-cli", "docker.io"]) == ["docker-cli", "docker.io"]
        assert install.packages_for(["docker", "dockerd"], ["docker.io"]) == ["docker.io"]

    def test_an_existing_policy_stays(self, tmp_path: Path) -> None:
        policy = tmp_path / "policy-rc.d"
        policy.write_text("theirs")
        with install.services_stay_down(policy):
            assert policy.read_text() == "theirs"
        assert policy.read_text() == "theirs"

    def test_our_policy_goes_again(self, tmp_path: Path) -> None:
        policy = tmp_path / "policy-rc.d"
        policy.write_text(install.POLICY_TEXT)  # a killed installation left it
        with install.services_stay_down(policy):
            assert subprocess.run([policy], check=False).returncode == 101
        assert not policy.exists()
