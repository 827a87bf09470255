"""The words of next steps, all in one place (PROTOCOL.md G11).

Rules of this house:
- kind and exact: a worker who is told no has usually done nothing wrong;
- a sentence that names codes says first for which situation they are meant;
- the person is asked, believed and told; she never "fails", "refuses to engage" or stands in the way.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.decision import Outcome

LEADS_TO: Mapping[Outcome, str] = {
    Outcome.DELIVER: "Then it goes.",
    Outcome.DELIVER_ALERT: "Then it goes, with an alert to the people who look after sharing.",
    Outcome.HOLD: "Then it waits for your safeguarding lead.",
    Outcome.BLOCK: "",
}

ROUTE: Mapping[str, str] = {
    "agreement": "If the person's agreement is what you rely on: name consent as the basis throughout (6a, 9a, s1:29).",
    "who-agreed": "If it was the person who agreed: say so (SELF). If somebody else decided, say who.",
    "safeguarding": "A child or an adult at risk is in this message. If protecting them needs it: name the recognised "
    "legitimate interest for safeguarding (6ea:safeguarding).",
    "emergency": "If somebody is in danger now: name the recognised legitimate interest for it (6ea:emergency).",
    "balancing": "If you have weighed it and the balancing test is on file: name legitimate interests (6f).",
    "support": "If it is confidential support, and the balancing test is on file: name legitimate interests (6f).",
    "gateway": "You are a public authority. If this is part of your task under it: name the public task (6e) "
    "with {code}. {says}",
    "duty": "If the law requires you to share this: say so (6c, reason E) with {code}. {says}",
    "public-task": "You are a public authority. Name your public task (6e); your IG officer knows which law gives it.",
    "vital-interests": "If somebody's life or health needs it and the person cannot decide: name vital interests (9c).",
    "told": "Say when the person will be told: within 28 days, or sooner.",
    "review": "Say an earlier day on which somebody looks again whether the person can safely be told.",
}
PARAGRAPH: Mapping[str, str] = {
    "s1:10": "For special or offence information: paragraph 10 (9g, s1:10), if preventing harm that is against the law "
    "needs it.",
    "s1:17": "For special or offence information: paragraph 17 (9g, s1:17).",
    "s1:18": "For special or offence information: paragraph 18 (9g, s1:18).",
}
WHY_NOT: Mapping[str, str] = {
    "A": "If the person cannot decide about this now: give reason A, and what was done to help them decide.",
    "B": "If there was no reasonable way to ask in time: give reason B, and what was tried.",
    "C": "If asking would make somebody less safe: give reason C.",
    "D": "If asking would get in the way of preventing or finding out about a crime: give reason D.",
    "F": "If somebody is in danger at this moment: ring 999 first, then give reason F. It goes at once; your "
    "safeguarding lead is told now and signs afterwards.",
}

HUMAN: Mapping[str, str] = {
    "ask": 'Ask the person, alone and in their own language, when it is safe. "Not now" is an answer too.',
    "ask-about-this": "Ask the person whether this, to this service, is all right too. Then record what they say.",
    "respect": "The person's no stands. Ask what would help instead, and send that.",
    "lead": "Ring your safeguarding lead. They see it now and can let it go, or say what is missing.",
    "lead-override": "If you think that somebody could come to serious harm: talk with your safeguarding lead. "
    "Two people can sign an override for this one message: fenpost-agent override request",
    "lead-sign": "Your safeguarding lead looks at it and signs. Tell them now, so that they need not find it.",
    "no-lead": "Your agency has no safeguarding lead on record: ring the partnership's duty contact, and your manager.",
    "other-lead": "Another safeguarding lead of your agency authorises it: never the person who wrote it.",
    "danger": "If somebody is in danger now: ring 999, then the other agency. A safeguarding concern (child.concern, "
    "adult.concern) can go without agreement.",
    "agreement-state": "Look at the agreement and its dates: fenpost-agent consent show HANDLE",
    "renew": "If it has run out: ask the person again and record the new agreement.",
    "wait": "Wait a little: it renews by itself while your agent and the relay are connected.",
    "ig": "Ask your IG officer: they know which law and which agreements between agencies there are.",
    "other-desk": "Choose a purpose or a service that the partnership shares for, or ring the agency.",
    "ring": "Ring the agency. What the programs cannot carry may still be said by people who may say it.",
    "source": "Ask the agency that told you whether it may be passed on, and to whom (onward.ask). When they answer "
    "yes, send it again.",
    "source-goes": "Ring them, or ask them to tell the other agency themselves.",
    "own-message": "If you want to share it on your own initiative: send it as your own referral or concern.",
    "ask-again": "If they need more than they asked for: ask them to send another request (info.request), or leave out "
    "what they did not ask for.",
    "attest": "Complete what the request must state, with a senior officer where that is needed.",
    "mark": "If a child or an adult at risk is in it: use the safeguarding form, which says so.",
    "fix-basis": "Talk it through with your IG officer, and name the basis that is really yours.",
    "tell-person": "Decide with your team how and when the person is told.",
    "update": "Have the agent fetch the directory and the policy: fenpost-agent doctor",
    "decide-who": "Record who decided: the person, or somebody who may decide for them.",
}
BY_HAND: Mapping[str, tuple[str, ...]] = {
    "VOCABULARY": ("update", "ig"),
    "POLICY": ("update", "ring", "danger"),
    "PURPOSE": ("other-desk", "ig"),
    "NO_AGREEMENT": ("ig", "ring", "danger"),
    "PAPER_SPECIAL": ("fix-basis",),
    "PAPER_CRIMINAL": ("fix-basis",),
    "PAPER_RISK": ("mark", "fix-basis"),
    "PAPER_INCAPABLE": ("fix-basis",),
    "PAPER_PUBLIC": ("ig",),
    "PAPER_GATEWAY": ("ig",),
    "PAPER_PRESUMED": ("fix-basis",),
    "PAPER_BASIS": ("ask", "fix-basis"),
    "PAPER_DATES": ("ig",),
    "PAPER_DECIDER": ("decide-who",),
    "PAPER_BOTH": ("fix-basis",),
    "PAPER_TOLD": ("tell-person",),
    "CONSENT_ONLY": ("ask", "danger"),
    "SCOPE": ("ask-about-this", "respect", "lead-override"),
    "GRANT": ("agreement-state", "ask-about-this", "danger"),
    "CLAIMED": ("agreement-state", "fix-basis", "ask-about-this"),
    "GRANT_UNKNOWN": ("agreement-state", "ask-about-this", "danger"),
    "WITHDRAWN": ("respect", "danger"),
    "STATUS_STALE": ("wait", "renew"),
    "REASON": ("ask",),
    "ASK_FIRST": ("ask", "danger"),
    "HOLD_LEAD": ("lead",),
    "BASIS": ("respect", "lead-override", "danger"),
    "BASIS_SWITCH": ("respect", "lead"),
    "REFUSED": ("respect", "lead-override", "danger"),
    "OVERRIDDEN": ("tell-person",),
    "LEAD_AFTER": ("lead-sign",),
    "LEAD_SIGNED": ("tell-person",),
    "AUTHORISER": ("other-lead", "danger"),
    "OVERRIDE": ("lead-override", "danger"),
    "NO_REQUEST": ("ask-again", "own-message", "ring"),
    "VIR": ("attest", "ring"),
    "ONWARD": ("source", "source-goes", "danger"),
    "UNFORESEEN": ("lead", "danger"),
    "NO_LEAD": ("no-lead", "danger"),
    "HOLD_LAPSED": ("lead", "danger"),
    "UNSETTLED": ("lead",),
    "AGREEMENT_ENDED": ("respect", "ask-about-this", "danger"),
    **dict.fromkeys(("AUTHORISER_SAME", "AUTHORISER_ROLE", "OVERRIDE_ONE_PERSON"), ("other-lead", "danger")),
    **dict.fromkeys(("ROLE_KEY_UNSIGNED", "ROLE_KEY_YOUNG"), ("other-lead", "danger")),
    **dict.fromkeys(
        (
            "OVERRIDE_UNKNOWN",
            "OVERRIDE_USED",
            "OVERRIDE_EXPIRED",
            "OVERRIDE_RECIPIENTS",
            "OVERRIDE_CATEGORIES",
            "OVERRIDE_DIFFERS",
            "OVERRIDE_POLICY",
            "OVERRIDE_SCOPE",
        ),
        ("lead-override", "danger"),
    ),
}
"""What people do about each code that the gate can give, likeliest first."""
