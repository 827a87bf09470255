"""Payloads to start from: the least that each form takes, and one with everything filled in. All people are invented."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]
REF = "qWeRtY0123456789abcdef"
GID = "AAECAwQFBgcICQoLDA0ODw"
_TALLY: Json = {"count": 0, "root": "A" * 43}
_LINE: Json = {"eid": "A" * 43, "d": "duty", "ts": 1795219200, "n": 3, "state": "opened", "at": 1795219260}

LEAST: dict[str, Json] = {
    "referral.universal": {
        "type": "referral.universal",
        "v": 1,
        "rag": "GREEN",
        "ask": "A place in the recovery group",
        "strand": ["da"],
        "person": {"person_ref": REF, "known_as": "Zeph", "area": "Fenland"},
        "wishes": {"wants": ["To meet others who understand"]},
        "contact": {"checked_on": "2026-11-12", "asked_alone": True, "person_will_contact_us": True},
        "reply_to": {"desk": "referrals"},
    },
    "referral.response": {
        "type": "referral.response",
        "v": 1,
        "outcome": "accepted",
        "wish_replies": [{"wish": 1, "answer": "we_will", "what": "A place from Tuesday"}],
        "first_contact_by": "2026-11-30",
        "reply_to": {"desk": "duty"},
    },
    "child.concern": {
        "type": "child.concern",
        "v": 1,
        "rag": "GREEN",
        "person_ref": REF,
        "child": {"legal_name": "Wrenna Brambleworth", "age": 11},
        "concern": [{"text": "A mark on the arm", "kind": "fact", "said_by_role": "class teacher"}],
        "impact_on_child": "Does not want to go home",
        "parents_told": True,
        "what_should_change": "That somebody sees Wren",
        "reply_to": {"desk": "safeguarding"},
    },
    "adult.concern": {
        "type": "adult.concern",
        "v": 1,
        "rag": "GREEN",
        "person_ref": REF,
        "ident": {"legal_name": "Ambrose Fennimore-Tuck", "dob": "1949-08-05"},
        "care_support_needs": True,
        "abuse_type": ["financial"],
        "concern": [{"text": "Six withdrawals", "kind": "fact", "said_by_role": "housing officer"}],
        "outcome_wanted": "To have my own card back",
        "capacity": {"answer": "yes", "basis": "Explained the choices back"},
        "consent": {"given": True},
        "actions_taken": "Food parcel",
        "reply_to": {"desk": "housing"},
    },
    "info.request": {
        "type": "info.request",
        "v": 1,
        "rag": "AMBER",
        "person_ref": REF,
        "about": {"legal_name": "Zephyrine Aldous-Marsh"},
        "power": "Care Act 2014, section 42: an enquiry about an adult",
        "items": ["contact", "needs"],
        "period": {"since": "2026-06-01"},
        "needed_by": "2026-11-27",
        "reason_text": "To plan a visit that does not repeat what was done",
        "person_knows": "yes",
        "reply_to": {"desk": "duty"},
    },
    "info.give": {
        "type": "info.give",
        "v": 1,
        "rfi_ref": GID,
        "given": [
            {
                "item": "needs",
                "lines": [{"text": "Asked about a flat", "kind": "fact", "said_by_role": "support worker"}],
            }
        ],
        "not_held": ["contact"],
        "context_of_contact": "Seen twice in September, at the centre",
        "onward": "ASK",
        "reply_to": {"desk": "intake"},
    },
    "onward.ask": {
        "type": "onward.ask",
        "v": 1,
        "source": GID,
        "to": ["ag1" + "a" * 32],
        "purpose": "SUPPORT",
        "reply_to": {"desk": "intake"},
    },
    "onward.answer": {
        "type": "onward.answer",
        "v": 1,
        "source": GID,
        "to": ["ag1" + "a" * 32],
        "purpose": "SUPPORT",
        "answer": "yes",
        "reply_to": {"desk": "duty"},
    },
    "consent.grant": {
        "type": "consent.grant",
        "v": 1,
        "gid": GID,
        "state": "GIVEN",
        "agree_by": "SELF",
        "how_asked": "face_to_face",
        "asked_on": "2026-11-12",
        "alone_when_asked": True,
        "told": ["who_will_see_it", "how_to_withdraw"],
        "words_used": "May I pass this on to the advisers, so that you need not tell it again?",
        "valid_until": "2027-02-10",
    },
    "consent.withdraw": {"type": "consent.withdraw", "v": 1, "gid": GID, "withdrawn_on": "2026-11-20"},
    "reconcile": {
        "type": "reconcile",
        "v": 1,
        "day": "2026-11-21",
        "made": 1795307400,
        "part": 1,
        "parts": 1,
        "sent": {"sent": _TALLY, "collected": _TALLY, "taken_on": _TALLY},
        "got": {"collected": _TALLY, "taken_on": _TALLY},
    },
}

_CHANNELS = [
    {
        "kind": "call",
        "safe": "yes",
        "value": "07700 900481",
        "number_withheld": True,
        "when": "Mornings",
        "who_may_answer": "A sister",
        "say_we_are": "The library",
        "leave_message": "none",
        "if_someone_else_answers": "cover",
    },
    {"kind": "text", "safe": "no"},
    {"kind": "voicemail", "safe": "unknown"},
    {"kind": "letter", "safe": "yes", "value": "5 Teasel Drove, PE99 2HX", "address_status": "shareable"},
    {"kind": "via_worker", "safe": "yes"},
]
_CONTACT = {
    "checked_on": "2026-11-12",
    "asked_alone": True,
    "channels": _CHANNELS,
    "code_word_hint": "A flower",
    "person_will_contact_us": False,
    "no_contact_until": "2026-11-20",
    "next_safe_slot": "Thursday",
}
_ACCESS = {
    "language": "Polish",
    "interpreter": "spoken",
    "interpreter_gender": "woman",
    "exclude_interpreters": ["the same parish"],
    "contact_mode": ["in_person", "text"],
    "easy_read": False,
    "large_print": True,
    "hearing": "Hears better on the left",
    "sight": "Reads large print",
    "mobility": "No stairs",
    "learning": "Short sentences help",
    "autism": "Quiet room",
    "trauma_triggers": "Locked doors",
    "faith": "Friday afternoons are for prayer",
    "diet": "Halal",
    "childcare": "School hours",
    "pet": "One cat",
    "safe_place_to_meet": "The library",
}
_STATEMENT = {
    "text": "Heard shouting",
    "kind": "reported",
    "said_by_role": "health visitor",
    "date": "2026-11-02",
}
_BRIEF = {
    "relation": "ex_partner",
    "access_to": ["children", "phone"],
    "aware": False,
    "works_for_partner": "no",
}
_CHILD = {
    "known_as": "Pip",
    "relation": "child",
    "lives_with": "person",
    "age": 7,
    "dob": "2019-06-21",
    "school_ref": "The office",
    "present_or_affected": True,
    "childs_voice": {"quote": "I count until the car goes.", "who_was_present": "class teacher"},
}
_REASONS = {
    "necessity": "To act before the hearing",
    "told_detail": "Told in person",
    "why_no_text": "Asked, and agreed",
    "risk_if_shared": "Low",
    "risk_if_not": "No support",
    "authoriser_name_role": "Safeguarding lead",
}
_REPLY = {"desk": "referrals", "ooh_desk": "night", "worker_role": "Outreach worker"}

FULL: dict[str, Json] = {
    "referral.universal": LEAST["referral.universal"]
    | {
        "rag": "AMBER",
        "rag_why": "A hearing in six days",
        "strand": ["da", "hba"],
        "handling": ["no_family_contact", "small_community"],
        "person": LEAST["referral.universal"]["person"]
        | {"age_band": "16_17", "pronouns": "she/her", "preferred_term": "survivor"},
        "wishes": {
            "wants": ["To plan the day", "To sleep"],
            "does_not_want": ["Letters"],
            "own_words": "I want one person who knows.",
            "outcome_hoped": "To sleep with the light off",
            "who_not_to_tell": ["An uncle at the council"],
            "fears": "That they find out",
        },
        "contact": _CONTACT,
        "access": _ACCESS,
        "digital": {
            "device_shared": False,
            "device_suspected_watched": True,
            "accounts_known_to_harm_causer": ["cloud", "email"],
            "location_sharing_suspected": True,
            "child_devices": True,
            "smart_home": False,
            "car": False,
            "link_ok": False,
            "online_form_ok": False,
            "safe_device": "A work phone",
            "images_threat": True,
            "next_step_agreed": "Nothing is deleted yet",
        },
        "needs": ["disability", "housing", "legal"],
        "risk": {
            "tool": "DASH",
            "level": "medium",
            "prof_judgement": True,
            "why": "More contact since the date was set",
            "assessed_on": "2026-11-12",
            "review_on": "2026-12-03",
            "yes_count": 12,
            "unknown_count": 2,
            "escalation": True,
            "incidents_12m": 5,
            "indicators": ["pregnancy_newborn", "stalking"],
        },
        "harm_causers": [_BRIEF],
        "children": [_CHILD],
        "already_working_with": ["Outreach"],
        "tried_already": ["The duty solicitor"],
        "staff_safety": {"visit": "in_pairs", "hazard": "A dog"},
        "reasons": _REASONS,
        "reply_to": _REPLY,
        "also_holds": ["criminal", "special"],
    },
    "referral.response": LEAST["referral.response"]
    | {
        "outcome": "accepted_waiting",
        "wish_replies": [
            {
                "wish": 1,
                "answer": "we_will_in_part",
                "what": "The hearing, not the papers",
                "by": "2026-12-01",
            },
            {"wish": 2, "answer": "we_will_ask", "what": "We will ask what would help"},
        ],
        "criterion_cited": "Current abuse in the last three months",
        "onward": {"service_ref": "IMPAKT DASS", "who_will_do_it": "we_will_together", "by": "2026-12-02"},
        "wait_estimate": "Two weeks",
        "holding_support": "A call each Monday",
        "questions": ["Which court?"],
        "reply_to": _REPLY,
        "also_holds": ["special"],
    },
    "child.concern": LEAST["child.concern"]
    | {
        "rag": "RED",
        "rag_why": "Tonight is not safe",
        "handling": ["do_not_phone"],
        "child": {
            "legal_name": "Wrenna Brambleworth",
            "aliases": ["Wren Hollow"],
            "dob": "2015-02-11",
            "address_status": "shareable",
            "address": {"lines": ["5 Teasel Drove"], "postcode": "PE99 2HX"},
            "nhs_no": "9990000018",
            "police_ref": "35/1/26",
            "upn": "H801200001001",
            "known_as": "Wren",
            "age": 11,
        },
        "other_children": [_CHILD],
        "adults_with_pr": [
            {"name": "Odalys Brambleworth", "relation": "parent", "may_be_source_of_harm": "no"}
        ],
        "concern": [_STATEMENT],
        "strengths": "An aunt collects on Fridays",
        "child_view": {"quote": "I want Mum there.", "who_was_present": "school nurse"},
        "family_view": "Not asked",
        "parents_told": False,
        "parents_not_told_why": "It could raise the danger",
        "immediate_action": "Rang the duty team",
        "harm_causers": [
            _BRIEF
            | {
                "ref": REF,
                "name": "Leander Crookshanks-Holt",
                "aliases": ["Lee Holt"],
                "dob": "1985-12-30",
                "whereabouts": "known",
                "orders": ["bail"],
                "status": "alleged",
            }
        ],
        "contact": _CONTACT,
        "staff_safety": {"visit": "no", "hazard": "A dog"},
        "reasons": _REASONS,
        "reply_to": _REPLY,
    },
    "adult.concern": LEAST["adult.concern"]
    | {
        "rag": "AMBER",
        "rag_why": "Money goes on the day it arrives",
        "handling": ["small_community"],
        "ident": LEAST["adult.concern"]["ident"]
        | {
            "aliases": ["Amby Tuck"],
            "address_status": "shareable",
            "address": {"lines": ["3 Kingcup Court"], "postcode": "PE99 7DB"},
            "nhs_no": "9990000026",
            "police_ref": "35/2/26",
        },
        "abuse_type": ["financial", "sexual"],
        "concern": [_STATEMENT],
        "outcome_wanted": {"could_not_ask": "not_able_now", "why": "Asleep after surgery"},
        "consent": {"given": False, "why_not": "Others are at risk"},
        "others_at_risk": "A neighbour",
        "person_in_trust": True,
        "harm_causers": [_BRIEF],
        "contact": _CONTACT,
        "access": _ACCESS,
        "staff_safety": {"visit": "ok", "hazard": "Steep stairs"},
        "reasons": _REASONS,
        "reply_to": _REPLY,
    },
    "info.request": LEAST["info.request"]
    | {
        "rag": "RED",
        "rag_why": "A hearing this afternoon",
        "handling": ["person_does_not_know"],
        "about": LEAST["info.request"]["about"]
        | {
            "aliases": ["Zeph Marsh"],
            "dob": "1991-04-02",
            "address_status": "shareable",
            "address": {"lines": ["7 Sorrel Way"], "postcode": "PE99 4AA"},
            "nhs_no": "9990000018",
            "police_ref": "35/9/26",
            "upn": "H801200001001",
        },
        "items": ["child", "crim", "hc", "health", "risk"],
        "period": {"since": "2026-01-01", "until": "2026-11-20"},
        "person_knows": "not_safe_to_say",
        "person_knows_not_why": "Her phone is not her own",
        "vir": ["VIR-LAST-RESORT", "VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE"],
        "victim_notice": "will_be_given",
        "no_notice_why": "Once she can be rung safely",
        "reply_to": _REPLY,
        "also_holds": ["criminal", "special"],
    },
    "info.give": LEAST["info.give"]
    | {
        "handling": ["do_not_phone"],
        "given": [
            {"item": item, "lines": [_STATEMENT]}
            for item in ("child", "crim", "hc", "health", "ident", "risk")
        ],
        "not_held": ["needs", "wishes"],
        "withheld": [{"item": "digital", "why": "could_endanger"}, {"item": "person", "why": "checking"}],
        "onward": "NONE",
        "reasons": _REASONS,
        "reply_to": _REPLY,
        "also_holds": ["special"],
    },
    "onward.ask": LEAST["onward.ask"] | {"needed_by": "2026-11-27", "reply_to": _REPLY},
    "onward.answer": LEAST["onward.answer"] | {"until": "2026-12-31", "reply_to": _REPLY},
    "consent.grant": LEAST["consent.grant"]
    | {
        "state": "LIMITED",
        "interpreter": "BSL",
        "own_words": "Yes, but not the council.",
        "limits": {
            "not_recipients": ["the council"],
            "not_purposes": ["HOUSING"],
            "not_categories": ["health"],
            "not_about": ["housing"],
            "until": "2027-01-31",
            "channel": "By phone only",
            "in_own_words": "Not the council.",
        },
    },
    "consent.withdraw": LEAST["consent.withdraw"]
    | {
        "how_heard": "told_us",
        "heard_by_role": "Outreach worker",
        "alone_when_heard": True,
        "interpreter": "none",
        "words_used": "Please stop.",
        "recipients_please": ["stop_contact", "stop_using"],
        "wants_now": "To be left in peace for a while",
    },
    "reconcile": LEAST["reconcile"]
    | {
        "sent": LEAST["reconcile"]["sent"] | {"lines": [_LINE], "earlier": [_LINE], "unsent": [2]},
        "got": LEAST["reconcile"]["got"] | {"lines": [_LINE], "earlier": [_LINE], "missing": [7]},
    },
}


def least(kind: str) -> Json:
    """The least that a form takes, to change at will."""
    return copy.deepcopy(LEAST[kind])


def full(kind: str) -> Json:
    """A form with everything filled in, to change at will."""
    return copy.deepcopy(FULL[kind])
