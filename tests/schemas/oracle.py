"""The rule once more, written from the partnership's text row by row as plain questions; it reads no policy and no table.

What the text leaves open is answered here in the same words as in PROTOCOL.md C8 to C10.
"""

from dataclasses import dataclass

SPECIAL_NEEDS_CONDITION = {"9a", "9c", "9f", "9g", "9h"}
FIT_FOR_OFFENCES = {"s1:6", "s1:10", "s1:17", "s1:18", "s1:29", "s1:30", "s1:33", "s1:36"}
PURPOSES = {"SUPPORT", "RISK_MGMT", "CHILD_PROT", "ADULT_PROT", "CRIME", "HOUSING", "HEALTH", "FORUM", "RIGHTS", "STATS"}  # fmt: skip
BASES = {"6a", "6c", "6d", "6e", "6ea:safeguarding", "6ea:emergency", "6ea:crime", "6ea:request", "6ea:security", "6f", "LE"}  # fmt: skip
GATEWAYS = {
    "CA04-16LA", "CA89-17", "CA89-47", "CA04-10/11", "CA04-16H", "CARE-42", "CARE-45", "CARE-6", "CDA-115", "DAA21", "HA-213B",
    "MSA-52", "FGM-5B", "CJA-325", "PCSC-44A", "MCA", "CLDC", "COURT",
}  # fmt: skip
STATES = {
    "GIVEN",
    "LIMITED",
    "NOT_SOUGHT",
    "REFUSED",
    "WITHDRAWN",
    "EXPIRED",
    "CANNOT_GIVE",
    "NOT_APPLICABLE",
}
FEBRUARY_2026 = 1_770_249_600  # 5 February: recognised legitimate interests
SEPTEMBER_2026 = 1_790_726_400  # 30 September: the duty about children
JANUARY_2026 = 1_768_176_000  # 12 January: the code for police requests
QUARTER = 90 * 24 * 3600


@dataclass
class Answer:
    outcome: str
    code: str
    rows: tuple
    lead: str
    notes: tuple


def answer(f) -> Answer:
    """What the text says of these facts: deliver, alert, hold or block; the code; the rows; when the lead signs."""
    h, law = f.header, f.header.law
    red, green = h.rag == "RED", h.rag == "GREEN"
    if f.policy is None and not red:
        return Answer("block", "POLICY", (23,), "", ())
    said = []  # (row, outcome, code, when the lead signs)

    def paper(row, code, lead=""):
        if red:
            said.append((row, "alert", code, lead))
        else:
            said.append((row, "block", code, ""))

    # Who and what it is about.
    personal = True
    if law.pd == "none":
        personal = h.cls in ("REFER", "SAFEGUARD") or law.spec or law.crim or law.child or law.adult_at_risk
        for cat in h.cat:
            if cat not in ("ask", "reasons", "response"):
                personal = True
    state = law.agree
    if f.coverage == "withdrawn" and state not in ("REFUSED", "CANNOT_GIVE"):
        state = "WITHDRAWN"
    agreed = state in ("GIVEN", "LIMITED")
    inside = agreed and f.coverage == "covers"
    outside = agreed and f.coverage == "outside"
    no = state in ("REFUSED", "WITHDRAWN") or outside
    why = law.why_no
    glass = f.policy is None or f.policy.break_glass
    if why == "F" and not glass:
        why = None  # switched off: it is no reason

    # A signature by a safeguarding lead of the same agency, another person than the author, for this message.
    o = f.override
    thread_allowed = h.pur in ("RISK_MGMT", "CHILD_PROT", "ADULT_PROT")
    signed = False
    wrong_people = False
    if o is not None:
        wrong_people = bool(o.authoriser) and (o.author == o.authoriser or o.authoriser_role != "lead")
        if o.valid and o.covers and o.authoriser and not wrong_people and f.leads:
            signed = o.scope == "msg" or thread_allowed

    # 1: not well formed, here: a code of no list.
    known = state in STATES and law.agree in STATES
    known = known and (law.b6 is None or law.b6 in BASES)
    known = known and (law.b9 is None or law.b9 in SPECIAL_NEEDS_CONDITION)
    known = known and all(p in FIT_FOR_OFFENCES | {"s1:8", "s1:19"} for p in law.s1)
    known = known and all(g in GATEWAYS for g in law.gw)
    known = known and law.agree_by in (
        None,
        "SELF",
        "CHILD_COMPETENT",
        "PR_NOT_HARM",
        "ATTORNEY",
        "BEST_INTERESTS",
    )
    known = known and law.conf in (None, "agreement", "public_interest", "statute")
    known = known and law.why_no in (None, "A", "B", "C", "D", "E", "F", "G")
    known = (
        known
        and law.told in ("YES", "BY", "UNSAFE", "NA")
        and law.onward in ("NONE", "ASK", "WITHIN_PURPOSE")
    )
    for attested in law.vir:
        known = known and attested in (
            "VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT", "VIR-NOTICE", "VIR-COUNSELLING", "VIR-SENIOR",
        )  # fmt: skip
    if law.hc is not None:
        known = (
            known and law.hc.b6 in BASES and all(p in FIT_FOR_OFFENCES | {"s1:8", "s1:19"} for p in law.hc.s1)
        )
    if not known:
        said.append((1, "block", "VOCABULARY", ""))

    # 2
    if not personal:
        said.append((2, "deliver", "", ""))

    # 3
    if h.pur not in PURPOSES:
        said.append((3, "block", "PURPOSE", ""))

    # 4: the policy of these tests shares for every pair, or for no pair at all; nobody's data needs no agreement.
    if personal and h.pur in PURPOSES and f.policy is not None and not f.policy.agreements:
        paper(4, "NO_AGREEMENT", "after")

    # 5
    authority = f.sender.flags.public_authority
    if law.spec and law.b9 is None:
        paper(5, "PAPER_SPECIAL")
    if law.crim:
        fit = any(p in FIT_FOR_OFFENCES for p in law.s1)
        if law.hc is not None and any(p in FIT_FOR_OFFENCES for p in law.hc.s1):
            fit = True
        if authority and law.b6 in ("6e", "LE"):
            fit = True
        if not fit:
            paper(5, "PAPER_CRIMINAL")
    named18 = "s1:18" in law.s1 or (law.hc is not None and "s1:18" in law.hc.s1)
    if named18 and not law.child and not law.adult_at_risk:
        paper(5, "PAPER_RISK")
    if (law.b9 == "9c" or "s1:30" in law.s1) and state != "CANNOT_GIVE":
        paper(5, "PAPER_INCAPABLE")
    own = [law.b6] if law.b6 is not None else []
    if law.hc is not None:
        own.append(law.hc.b6)
    if authority and any(b == "6f" or b.startswith("6ea:") for b in own):
        paper(5, "PAPER_PUBLIC")
    if any(g in GATEWAYS and not gateway_open(g, f) for g in law.gw):
        paper(5, "PAPER_GATEWAY")
    if ("s1:10" in law.s1 or "s1:18" in law.s1) and state == "GIVEN":
        paper(5, "PAPER_PRESUMED")
    if personal and law.b6 is None:
        paper(5, "PAPER_BASIS")
    if f.now < FEBRUARY_2026 and any(b.startswith("6ea:") and b in BASES for b in own):
        paper(5, "PAPER_DATES")
    if agreed and law.agree_by is None:
        paper(5, "PAPER_DECIDER")
    if inside and why in ("A", "B", "C", "D", "G"):
        paper(5, "PAPER_BOTH")

    # 6
    if law.consent_only and not inside:
        said.append((6, "block", "CONSENT_ONLY", ""))

    # 7, 8
    if inside and state == "GIVEN":
        said.append((7, "deliver", "", ""))
    if inside and state == "LIMITED":
        said.append((8, "deliver", "", ""))

    # 9: outside counts as refused (13 to 15); what cannot be proven is a fault on paper.
    if outside and (law.b6 == "6a" or law.b9 == "9a" or "s1:29" in law.s1 or green or why is None):
        said.append((9, "block", "SCOPE", ""))
    elif outside and why == "G":
        said.append((9, "alert", "OVERRIDDEN", "") if signed else (9, "hold", "HOLD_LEAD", "before"))
    if agreed and f.coverage in ("none", "stale", "unknown") and personal:
        on_consent_alone = law.b6 == "6a" or law.b9 == "9a" or "s1:29" in law.s1
        if red and on_consent_alone and f.coverage != "stale":
            said.append(
                (9, "alert", "CLAIMED", "after")
            )  # nobody said no: it goes, as loudly as an emergency
        else:
            paper(9, "GRANT", "after")

    # 10
    if state in ("NOT_SOUGHT", "EXPIRED") and why is None and personal:
        paper(10, "REASON", "after")

    # 11
    if state in ("NOT_SOUGHT", "EXPIRED", "CANNOT_GIVE") and why in ("A", "B", "C", "D"):
        if signed and not (green and state != "CANNOT_GIVE"):
            said.append((11, "alert", "LEAD_SIGNED", ""))
        elif red:
            said.append((11, "alert", "LEAD_AFTER", "after"))
        elif h.rag == "AMBER" or state == "CANNOT_GIVE":
            said.append((11, "hold", "HOLD_LEAD", "before"))
        else:
            said.append((11, "block", "ASK_FIRST", ""))

    # 12
    duty = False
    if why == "E":
        for g in law.gw:
            if g in ("CA04-16LA", "CA89-47", "DAA21", "FGM-5B") and law.child and gateway_open(g, f):
                duty = True
            if g == "COURT" and gateway_open(g, f):
                duty = True
    if duty:
        said.append((12, "deliver", "", ""))
        if law.told == "NA":
            paper(12, "PAPER_TOLD")

    # 13
    rests = law.b6 == "6a" or law.b9 == "9a" or "s1:29" in law.s1
    if no and rests:
        said.append((13, "block", "SCOPE" if outside else "BASIS", ""))

    # 14
    if no and not rests and why == "G" and not green:
        if signed:
            said.append((14, "alert", "OVERRIDDEN", ""))
        else:
            said.append((14, "hold", "HOLD_LEAD", "before"))

    # 15
    if no and (green or why is None):
        said.append((15, "block", "SCOPE" if outside else "REFUSED", ""))

    # 16
    broken = red and why == "F"
    if broken:
        if signed:
            said.append((16, "alert", "LEAD_SIGNED", ""))
        else:
            said.append((16, "alert", "LEAD_AFTER", "after"))

    # 17
    if f.switched and state == "WITHDRAWN" and law.b6 != "6a" and not green:
        if signed:
            said.append((17, "alert", "BASIS_SWITCH", ""))
        else:
            said.append((17, "hold", "BASIS_SWITCH", "before"))

    # 18
    if wrong_people or (not f.leads and (o is not None or (no and why == "G"))):
        said.append((18, "block", "AUTHORISER", ""))
    elif (o is not None or h.ovr is not None) and not signed:
        paper(18, "OVERRIDE")

    # 19
    if h.cls == "INFOGIVE":
        r = f.request
        if law.rfi is None or r is None or not r.open or not set(h.cat) <= set(r.asked):
            paper(19, "NO_REQUEST")

    # 20
    if h.cls == "INFOREQ" and personal:
        asked = {"VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT"}
        if (f.sender.sector == "police" and not asked <= set(law.vir)) or (
            "VIR-COUNSELLING" in law.vir and "VIR-SENIOR" not in law.vir
        ):
            said.append((20, "block", "VIR", ""))

    # 21
    notes = ()
    if law.told == "UNSAFE":
        if law.told_by < f.now:
            notes = ("TOLD_REVIEW",)
            said.append((21, "deliver", "", ""))
        if law.told_by > h.ts + QUARTER:
            paper(21, "PAPER_TOLD")

    # 22
    stopped = False
    for s in f.onward:
        if s.source not in ("ASK", "WITHIN_PURPOSE"):
            stopped = True
        if s.source == "ASK" and not s.granted:
            stopped = True
        if s.source == "WITHIN_PURPOSE" and s.purpose != h.pur and not s.granted:
            stopped = True
    if stopped:
        paper(22, "ONWARD", "after")

    # 12 switches off 9 to 11, 13 to 15 and 17.
    if duty:
        said = [one for one in said if one[0] not in (9, 10, 11, 13, 14, 15, 17)]

    # 23: the question of agreement is answered by none of the rows that answer it.
    if not any(one[0] in (2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17) for one in said):
        if signed:
            said.append((23, "alert", "LEAD_SIGNED", ""))
        elif red:
            said.append((23, "alert", "UNFORESEEN", "after"))
        else:
            said.append((23, "hold", "UNFORESEEN", "before"))
    if f.policy is None:
        said.append((23, "alert", "POLICY", "after"))

    # 16 turns any hold, and some blocks, into delivery with an alert; never of rows 1, 3, 6, 13, 20.
    if broken:
        freed = []
        for row, outcome, code, lead in said:
            stops = outcome == "hold" or (
                outcome == "block" and code in ("SCOPE", "REFUSED", "REASON", "AUTHORISER", "NO_AGREEMENT")
            )
            if stops and row not in (1, 3, 6, 13, 20):
                freed.append((row, "alert", "LEAD_AFTER", "after"))
            else:
                freed.append((row, outcome, code, lead))
        said = freed

    for worst in ("block", "hold", "alert", "deliver"):
        deciding = sorted(one for one in said if one[1] == worst)
        if deciding:
            break
    # In the order of the rows; within a row in the order in which the text names its parts.
    deciding = [one for one in sorted(said, key=lambda one: one[0]) if one[1] == worst]
    code = "" if worst == "deliver" else next(one[2] for one in deciding)
    lead = next((one[3] for one in deciding if one[3]), "") if worst in ("hold", "alert") else ""
    return Answer(worst, code, tuple(sorted({one[0] for one in deciding})), lead, notes)


def gateway_open(gateway, f) -> bool:
    """Whether this sender, these recipients and this day are inside the gateway."""
    law, sender, to = f.header.law, f.sender, f.parties
    if gateway == "CA04-16LA":
        return f.now >= SEPTEMBER_2026 and sender.flags.s16la_member and all(p.flags.s16la_member for p in to)
    if gateway in ("CA89-17", "CA89-47", "CA04-10/11", "CA04-16H"):
        return all(p.sector in ("childrens_services", "police", "health", "education") for p in to)
    if gateway in ("CARE-42", "CARE-6"):
        return all(p.sector == "adult_care" for p in to)
    if gateway == "CARE-45":
        return law.rfi is not None and all(p.sector == "adult_care" for p in to)
    if gateway == "CDA-115":
        return all(p.flags.cda_relevant for p in to)
    if gateway == "DAA21":
        return sender.sector == "police" and all(p.sector == "education" for p in to)
    if gateway == "HA-213B":
        return law.consent_only
    if gateway == "MSA-52":
        return law.consent_only or law.child
    if gateway == "FGM-5B":
        return all(p.sector == "police" for p in to)
    if gateway == "CJA-325":
        listed = ("police", "probation", "health", "childrens_services", "adult_care", "housing", "education")
        return all(p.sector in listed for p in (sender, *to))
    if gateway == "PCSC-44A":
        return f.now >= JANUARY_2026 and bool(law.vir)
    if gateway == "COURT":
        return law.b6 == "6c"
    return True
