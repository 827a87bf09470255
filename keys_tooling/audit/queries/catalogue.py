"""The thirty questions, by number and name."""

from __future__ import annotations

from keys_tooling.audit.queries import law, log, people, shares, told
from keys_tooling.audit.queries.question import LOCAL, WINDOW, Param, Question

ONE_CASE = Param("local", f"{LOCAL.says} --case-ref REFERENCE", "local", needed=True)
MESSAGE = Param("message", "A message's id.", needed=True)
ONLY_MESSAGE = Param("message", "Only this message.")
AGENCY = Param("agency", "The agency's name or id.", "agency", needed=True)
DESK = Param("desk", "AGENCY/DESK.", "desk")
KEY = Param("key", "A key's id.")
WHY = Param("why", "Only this reason, such as C.")
BASIS = Param("basis", "Only this code.")
COLOUR = Param("colour", "RED, AMBER or GREEN; RED when left out.")
WHEN = Param("when", "The time; now when left out.", "time")
SIGNED_IN = Param("hours", "Hours instead of 24.", "number")
OLDER = Param("hours", "Older than so many hours; 24 when left out.", "number")
DAYS = Param("days", "Days instead of 90.", "number")
A_DAY = Param("more_than", "So many a day; 3 when left out.", "number")
THREADS = Param("more_than", "So many a day; else three times what is usual for the key, and ten.", "number")
ROSTER = Param("roster", "A file of JSON: {desk: [role, ...]}. [default: the directory's]", "roster")
OPENS = Param("from_hour", "9 when left out.", "number")
CLOSES = Param("to_hour", "17 when left out.", "number")

QUESTIONS: tuple[Question, ...] = (
    Question(
        1,
        "shares-about",
        "All shares about one person from us, by date",
        (ONE_CASE, *WINDOW),
        shares.shares_about,
    ),
    Question(
        2,
        "received-about",
        "All that we received about one person",
        (ONE_CASE, *WINDOW),
        shares.received_about,
    ),
    Question(
        3,
        "acknowledgements",
        "Who acknowledged each message, and when",
        (ONLY_MESSAGE, *WINDOW),
        shares.acknowledgements,
    ),
    Question(4, "sent-to", "Everything sent to one agency in a window", (AGENCY, *WINDOW), shares.sent_to),
    Question(
        5,
        "left",
        "Everything that left a mailbox, or was under a key, in a window",
        (DESK, KEY, *WINDOW),
        shares.left,
    ),
    Question(
        6, "holders", "Which recipients hold data from one message, onward too", (MESSAGE,), shares.holders
    ),
    Question(
        7,
        "without-agreement",
        "All shares without the person's agreement, by reason",
        (WHY, *WINDOW),
        shares.without_agreement,
    ),
    Question(
        8,
        "overrides-after-refusal",
        "Overrides after the person said no, by authoriser",
        WINDOW,
        people.overrides_after_refusal,
    ),
    Question(
        9,
        "unsigned-emergencies",
        "Break-glass without a lead's signature in 24 hours",
        (SIGNED_IN, *WINDOW),
        people.unsigned_emergencies,
    ),
    Question(
        10,
        "out-of-dates",
        "Shares on a basis before its start or after its end",
        (BASIS, *WINDOW),
        law.out_of_dates,
    ),
    Question(
        11,
        "special-without-condition",
        "Special-category shares with no Article 9 code",
        WINDOW,
        law.special_without_condition,
    ),
    Question(
        12,
        "without-sharing-agreement",
        "Shares to an agency whose data-sharing agreement was not in force",
        WINDOW,
        law.without_sharing_agreement,
    ),
    Question(
        13,
        "after-withdrawal",
        "Messages after a withdrawal, on the same agreement or about the same case",
        WINDOW,
        law.after_withdrawal,
    ),
    Question(
        14,
        "recalls-unanswered",
        "Recalls that nobody has confirmed",
        (OLDER, *WINDOW),
        told.recalls_unanswered,
    ),
    Question(
        15,
        "unsafe-to-tell",
        "Marked unsafe to tell, and not looked at for 90 days",
        (LOCAL, DAYS, *WINDOW),
        told.unsafe_to_tell,
    ),
    Question(
        16,
        "blocked-attempts",
        "Blocked attempts, more than so many a day",
        (A_DAY, *WINDOW),
        people.blocked_attempts,
    ),
    Question(
        17,
        "unusual-work",
        "Work outside hours, or by a role that is not on the desk's roster",
        (ROSTER, OPENS, CLOSES, *WINDOW),
        people.unusual_work,
    ),
    Question(
        18,
        "busy-keys",
        "One key opening an unusual number of threads in a day",
        (THREADS, *WINDOW),
        people.busy_keys,
    ),
    Question(
        19,
        "conflict-denials",
        "How often somebody was kept from a case that she has a part in",
        (LOCAL,),
        people.conflict_denials,
    ),
    Question(
        20,
        "timeliness",
        "How timely RED (or another colour) was taken on, by agency",
        (COLOUR, *WINDOW),
        law.timeliness,
    ),
    Question(
        21,
        "beyond-minimum",
        "Categories that were sent against the minimum of the form",
        WINDOW,
        law.beyond_minimum,
    ),
    Question(
        22,
        "police-requests",
        "Police requests with and without notice to the victim",
        WINDOW,
        law.police_requests,
    ),
    Question(
        23,
        "officers-acts",
        "What officers copied, opened, exported and passed on",
        WINDOW,
        people.officers_acts,
    ),
    Question(24, "in-force", "Which policy was in force at a time", (WHEN,), law.in_force),
    Question(
        25,
        "deleted",
        "Messages and records deleted on schedule, with the entries that show it",
        WINDOW,
        log.deleted,
    ),
    Question(26, "turning-18", "Children turning 18 with live agreements", (), log.turning_eighteen),
    Question(27, "corrections", "Corrections and what was given back, by cause", WINDOW, told.corrections),
    Question(28, "gaps", "Gaps in the log's numbering or chain", (), log.gaps),
    Question(
        29, "told-the-person", "What we told the person, and when", (LOCAL, *WINDOW), told.told_the_person
    ),
    Question(
        30, "demographic-gap", "Demographic gap table, with small numbers suppressed", (), log.demographic_gap
    ),
)
BY_NAME = {question.name: question for question in QUESTIONS}
