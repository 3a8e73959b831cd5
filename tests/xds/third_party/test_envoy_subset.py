"""The subset of Envoy's API that Portolan speaks, against the whole of it."""

from conftest import BUILD
from lab.tools import TREE, run

API = TREE / "xds" / "api"


def test_the_subset_has_the_numbers_names_types_and_labels_of_the_whole(npm, tmp_path):
    deps = npm / "@grpc" / "grpc-js-xds" / "deps"
    ours = [str(path.relative_to(API)) for path in sorted(API.glob("**/*.proto")) if path.parts[-2] != "v1"]
    assert len(ours) > 20
    # The validation rules that come along are older than the API that uses them.
    rules = tmp_path / "validate" / "validate.proto"
    rules.parent.mkdir()
    rules.write_text((deps / "protoc-gen-validate" / "validate" / "validate.proto").read_text().replace(
        "message StringRules {", "message StringRules { optional bool ignore_empty = 26;"))
    whole = tmp_path / "whole"
    roots = [f"-I{folder}" for folder in (tmp_path, deps / "envoy-api", deps / "googleapis", deps / "xds")]
    run(["protoc", *roots, "--include_imports", f"--descriptor_set_out={whole}", *ours], timeout=60)
    done = run([str(BUILD / "tests" / "third_party_envoy_subset"), str(whole)], check=False)
    assert done.returncode == 0, done.stdout
    assert "0 differences" in done.stdout
