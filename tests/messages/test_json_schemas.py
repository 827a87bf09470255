"""The JSON Schema files are the forms, fresh and valid, for whoever builds in another language."""

import json

import pytest
from jsonschema import Draft202012Validator

from schemas.messages.catalogue import FORMS, export_schemas
from tests.messages.samples import full, least
from tests.tools.write_json_schemas import FOLDER, printed

KINDS = sorted(kind for kind, _ in FORMS)


def validator(kind):
    return Draft202012Validator(json.loads((FOLDER / f"{kind}.v1.json").read_text(encoding="utf-8")))


def test_the_files_are_fresh_and_no_other_is_there():
    stored = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert stored == printed(), "run: python tests/tools/write_json_schemas.py"


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_valid_json_schema_2020_12_with_an_id_of_its_own(kind):
    schema = export_schemas()[f"{kind}.v1"]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:fenpost:message:{kind}:v1"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", [least, full])
def test_each_takes_the_samples(kind, sample):
    assert list(validator(kind).iter_errors(sample(kind))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_takes_not_asked_yet(kind):
    payload = least(kind)
    for name, field in FORMS[kind, 1].model_fields.items():
        if not field.is_required():
            payload.setdefault(name, "not_asked_yet")
    assert validator(kind).is_valid(payload)


@pytest.mark.parametrize("kind", KINDS)
def test_each_refuses_a_field_that_it_does_not_know(kind):
    assert not validator(kind).is_valid(least(kind) | {"refuge_address": "x"})


@pytest.mark.parametrize("kind", KINDS)
def test_each_refuses_another_type_and_another_version(kind):
    assert not validator(kind).is_valid(least(kind) | {"type": "marac.referral"})
    assert not validator(kind).is_valid(least(kind) | {"v": 2})
