"""The words of a sharing statement, all in one place (PROTOCOL.md G9).

Rules of this house:
- the reader is the person: short sentences, everyday words, a reading age of about eleven (tests measure it);
- nothing blames, nothing is promised that the programs do not know, "sent" is never called "arrived";
- no words for what could endanger somebody: categories of UNSPOKEN have none, so none can be printed;
- organisations' public details are dated facts, to be checked before a partnership prints them.
"""

from __future__ import annotations

from collections.abc import Mapping

TITLE = "Your information statement"
"""On the page and in its title bar: it gives nothing away to somebody who looks over a shoulder."""

UNSPOKEN = frozenset({"crim", "hc", "staff_safety", "third_party"})
"""Categories about other people: that they were there is never said."""
CATEGORY: Mapping[str, str] = {
    "access": "what makes it easier for you to talk with a service",
    "ask": "what help was asked for",
    "child": "your children",
    "concern": "what we were worried about",
    "consent": "how you were asked, and what you said",
    "contact": "safe ways to reach you",
    "digital": "your phone and accounts, and if they are safe to use",
    "health": "your health",
    "ident": "your full name and details that find you in their files",
    "needs": "what you want help with",
    "person": "what you like to be called, your age group and your area",
    "reasons": "why it was shared",
    "response": "an answer to a message",
    "risk": "how safe you are",
    "statements": "notes of what was seen or said",
    "wishes": "what you want, and what you do not want",
}
NOTHING_NAMED = "something that we can explain to you"
PURPOSE: Mapping[str, str] = {
    "SUPPORT": "so that you can get support",
    "RISK_MGMT": "to help keep you safe",
    "CHILD_PROT": "to help keep a child safe",
    "ADULT_PROT": "to help keep an adult safe",
    "CRIME": "to help stop a crime or find out about one",
    "HOUSING": "to help with a place to live",
    "HEALTH": "to help with health care",
    "FORUM": "for a meeting of services about keeping people safe",
    "RIGHTS": "so that you can use your rights",
    "STATS": "to count how services are used",
}

OTHER_PURPOSE = "for something that we can explain to you"

AGREE: Mapping[str, str] = {
    "GIVEN": "You agreed to this.",
    "LIMITED": "You agreed to part of what we asked. We kept to that part.",
    "NOT_SOUGHT": "You were not asked first.",
    "EXPIRED": "You had agreed before, but the time for that was over.",
    "CANNOT_GIVE": "You could not decide about this at the time.",
    "NOT_APPLICABLE": "This kind of sharing does not need a yes or a no.",
    "REFUSED": "You had said no to this.",
    "WITHDRAWN": "You had changed your mind about this by then.",
}
NOTHING_KNOWN = "We did not note what you said to this."
NOT_TO_THIS = "You had agreed to something, but not to this."
WHY_NOT_ASKED: Mapping[str, str] = {
    "A": "You could not decide about this at the time.",
    "B": "We could not ask you in time.",
    "C": "Asking you first could have made somebody less safe.",
    "D": "Asking you first could have got in the way of stopping a crime.",
    "E": "The law says that we must share this.",
    "F": "We thought that somebody was in danger at that moment.",
    "G": "We thought that somebody could be badly hurt.",
}
ALL_THE_SAME = "We shared it all the same."
TWO_PEOPLE = "Two people at our service had to agree before we did."
LOOKED_AFTER = "It could not wait. A second person at our service looked at it afterwards."
ASK_US_WHY = "You can ask us why. We will talk it through with you."

OUTCOME: Mapping[str, str] = {
    "waiting": "It has not been sent yet.",
    "not_sent": "It was not sent.",
    "on_its_way": "It was sent. They have not picked it up yet.",
    "arrived": "It is with them. We do not know yet if anybody has read it.",
    "taken_on": "They have taken it on.",
    "given_back": "They gave it back to us.",
    "stopped": "It was stopped before they got it, because you changed your mind.",
    "not_picked_up": "They did not pick it up in time, so they did not get it.",
    "not_taken_on": "They got it, but they did not tell us that they had taken it on.",
    "unknown": "We do not know yet what came of it. Please ask us.",
}
GIVEN_BACK: Mapping[str, str] = {
    "wrong-recipient": "It was not for them.",
    "over-shared": "It held more than they should have.",
    "cannot-read": "They could not open it.",
    "no-authority": "They did not have a reason in law to have it.",
    "gate-fault": "It should not have gone to them.",
    "not-confirmed": "They could not be sure that you still agreed, so nobody there read it.",
}
RECALLED = "You changed your mind after they had it. They were told."
WE_TOOK_ON = "We have taken it on."
WE_GAVE_BACK = "We gave it back to them."
WE_HAVE = "It is with us."

HEADING: Mapping[str, str] = {
    "about": "About this page",
    "sent": "What we shared with others",
    "received": "What others shared with us",
    "choices": "What you agreed to",
    "rights": "What you can do",
    "missing": "What may be missing",
}
ABOUT = (
    "This page is from {agency}. It was made on {day}.",
    "It tells you who we have shared information about you with, what kind, and why.",
    "We can read it with you. We can also give it to you in another language or in another way.",
    "Please keep this page only if that is safe for you. We can keep it for you.",
)
NOTHING = "There is nothing to show here."
TO = "Who got it: {who}."
FROM = "Who it came from: {who}."
WHAT = "What it was about: {what}."
WHY = "Why: {why}."
YOUR_SAY = "Your say: {say}"
WHAT_CAME_OF_IT = "What came of it: {what}"
AGREED = "On {day} you agreed that these services may share with each other: {who}."
AGREED_WHAT = "What they may share: {what}."
AGREED_WHY = "What for: {why}."
NOT_FOR = "You said that it must not be used {why}."
NOT_WHAT = "You said that this must stay out: {what}."
OTHER_LIMITS = "You also told us about other limits, in your own words. You can ask us to read them to you."
NOT_TO = "You said that these must not get it: {who}."
STOPPED = "You told these services to stop: {who}. We send them nothing more on this."
AGREEMENT: Mapping[str, str] = {
    "refused": "On {day} you were asked and said no. That counts.",
    "cannot_give": "On {day} you were not able to decide about this. We will ask you again.",
    "not_sought": "On {day} we put down that you can decide about this again. We will ask you afresh.",
    "given": "This holds until {day}, or until you change your mind.",
    "expired": "This ended on {day}.",
    "withdrawn": "You changed your mind on {day}. From then on it no longer counts.",
}
A_SERVICE = "another service"
"""Said instead of a name that holds an address."""

RIGHTS = (
    "You can change your mind about anything that you agreed to. Tell any worker. You need not say why.",
    "You can ask us not to use or share something. This is called an objection. We must look at it and answer.",
    "You can ask to see what we hold about you. You can ask us to put right what is wrong.",
    "If you are not happy with how we used your information, please tell any worker here. That is a complaint.",
    "We must look into a complaint and tell you what we find.",
    "{name} looks after these rights in this country. You can go there at any time, and it is free.",
    "They may ask first if you have told us.",
    "Their phone number is {phone}. On the web: {web}.",
    "If you are in danger now, phone 999. If you cannot speak, press 55 when you are asked to.",
)
REGULATOR: Mapping[str, str] = {
    "name": "The Information Commissioner's Office (ICO)",
    "phone": "0303 123 1113",
    "web": "ico.org.uk/make-a-complaint",
}
"""The data protection regulator's public details, as published; a partnership looks them up before it prints them."""
MISSING = (
    "This page may not show everything.",
    "We leave things out when they are about somebody else.",
    "We also leave things out when writing them down could put anybody at risk.",
    "This is the same on every page that we give out. You can ask us about it, and you can ask the ICO.",
)

SAFE_DELIVERY = (
    "Check the safe contact details first: when they were last checked, and that the person was asked alone.",
    "Give it into the person's own hands, or read it together. Nobody else is there whom the person did not choose.",
    "Never send it to an address, an e-mail account, a phone or a cloud store that anybody else can see.",
    "Choose a file name that says nothing. Delete the file when it has been given.",
    "Read it through before you give it: you know what this program cannot know.",
)
"""What a worker is told before a statement is written."""
