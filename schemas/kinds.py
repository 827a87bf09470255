"""What each refusal code means: one sentence, whose turn it is, and whether to try again (PROTOCOL.md section 18).

Rules of this house:
- every code is listed once, here; tests compare the list with the code and with the protocol;
- a sentence says what its reader can do, and never what somebody wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Party = Literal["sender", "relay", "recipient"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a refusal code means: the sentence, whose turn it is, and whether to try again."""

    say: str
    party: Party = "sender"
    retry: bool = False


UNLISTED = Kind(
    "This was refused and the reason has no name yet. Please report it to the relay's operator.", "relay"
)

KINDS: Mapping[str, Kind] = {
    # --- form (PROTOCOL.md F-rules)
    "FORM": Kind("The bytes are not a well-formed Fenpost object. Update both programs, then send it again."),
    "TOO_BIG": Kind("It is larger than Fenpost carries. Leave out what the recipient does not need."),
    "VERSION": Kind(
        "It is written in a protocol version that this program does not speak. Update the program."
    ),
    "NOT_CANONICAL": Kind(
        "It is not in its one canonical spelling. The program that wrote it has a fault: report it."
    ),
    "ATTACHMENTS": Kind(
        "Attachments are not carried yet. Remove them and say in the message how to get them."
    ),
    # --- keys and signatures (K-rules)
    "SIGNATURE": Kind("A signature does not verify. Nothing was taken from it."),
    "KEY": Kind("A key is malformed or of the wrong kind. Make the key again."),
    "UNKNOWN_AGENCY": Kind("That agency is not in the partnership's directory. Check who it is meant for."),
    "UNKNOWN_DESK": Kind(
        "That agency has no such desk. Look the desk up in the directory and send it again."
    ),
    "UNKNOWN_KEY": Kind(
        "A key is not in the directory, or not for this use. Fetch the directory and try again."
    ),
    "REVOKED_KEY": Kind("The key that signed this was revoked. Tell the agency's administrator at once."),
    "STALE_KEY": Kind(
        "The key is outside its dates. The agent rotates keys by itself: check that it is running."
    ),
    "STALE_DIRECTORY": Kind(
        "The agency directory is more than 24 hours old. Reconnect to the relay first.", retry=True
    ),
    "ROOT_UNKNOWN": Kind(
        "That is not a root key to which the agency committed itself before. Bring the next roots from their safe."
    ),
    "ROOT_THRESHOLD": Kind("Too few different root keys have signed. Bring another one."),
    "EMERGENCY_ROLE": Kind(
        "This key may not revoke in an emergency. A safeguarding lead, an IG officer or the partnership's duty may."
    ),
    "EMERGENCY_PAIR": Kind("An emergency revocation needs two different people in two different roles."),
    "EMERGENCY_LATE": Kind(
        "The second person's signature is not from the day before this statement. Ask her to sign again."
    ),
    "LEFT": Kind("That agency has left the partnership. Ask the partnership who does its work now."),
    "MOVED": Kind("That agency has another name and entry now. Look it up again in the directory."),
    "RENEW": Kind(
        "An agent's renew key publishes running keys only. The administrator's operational key does the rest."
    ),
    "DIRECTORY": Kind("A directory statement does not follow from the ones before it. Nothing was changed."),
    "SELF_TEST": Kind(
        "This machine cannot do the protocol's cryptography. Update the 'cryptography' package.", "relay"
    ),
    "KEYFILE": Kind("The key file does not open. Check the passphrase and that the file is the right one."),
    # --- envelope and record (E-rules)
    "EXPIRED": Kind("It has passed its expiry time. If it is still needed, send it afresh."),
    "FUTURE": Kind("It is dated in the future. Check this machine's clock."),
    "CLOCK": Kind(
        "The time in it is too far from the relay's. Set this machine's clock, then send it again."
    ),
    "REPLAY": Kind("It was seen before. Nothing was done a second time."),
    "ID_CLASH": Kind("Another message already has this id. Send it afresh; the agent will choose a new id."),
    "WRAPS": Kind("The keys wrapped for the recipients do not match the header. Seal it again."),
    "NOT_FOR_US": Kind("It is not addressed to a key of this agency.", "recipient"),
    "CANNOT_OPEN": Kind("It does not open. The sender's agent will be asked to seal it again.", "recipient"),
    "KEY_ERASED": Kind(
        "The key it was sealed to has been erased on schedule. It must be sealed again.", "recipient"
    ),
    "COMMITMENT": Kind("The message key is not the one the sender committed to. Nothing is shown.", "sender"),
    "PADDING": Kind("The padding is not the only valid one. Nothing is shown.", "sender"),
    "RECORD": Kind("The audit record is malformed or does not open.", "sender"),
    "RECORD_DIFFERS": Kind(
        "The sender's audit record does not say what the message says. This is reported.", "sender"
    ),
    "OFFICERS": Kind(
        "The audit record is not sealed to exactly the officers that policy asks for. Seal it again."
    ),
    # --- log (L-rules)
    "PROOF": Kind(
        "The proof from the relay's log does not verify. Nothing is taken on; tell your IG officer.", "relay"
    ),
    "CHECKPOINT": Kind(
        "The relay's checkpoint does not verify. Nothing is taken on; tell your IG officer.", "relay"
    ),
    "FORK": Kind(
        "The relay showed two logs that cannot both be true. Sending stops; tell your IG officer.", "relay"
    ),
    "ROLLBACK": Kind(
        "The relay showed an older log than before. Sending stops; tell your IG officer.", "relay"
    ),
    "QUORUM": Kind(
        "Too few agencies vouched for the relay's log for a day, so nothing is sent. Ring; and tell your IG officer.",
        "relay",
    ),
    "UNTAKEN": Kind(
        "A desk has not taken on in time what you sent. Ring it.",
        "recipient",
    ),
    "OWN_STATEMENT": Kind(
        "The directory says in your agency's name what this agent does not know, so nothing is sent. Ask your "
        "administrator, then see fenpost-agent doctor."
    ),
    "SAFETY_NUMBER": Kind(
        "This agency has the name of one whose safety number you compared, and is another. Ring a number that you "
        "knew before, and compare again."
    ),
    "TWO_AGENTS": Kind(
        "Two agents run with your agency's keys. Stop the copy; if you know of none, have the keys revoked at once."
    ),
    # --- request (A-rules)
    "UNAUTHENTICATED": Kind("The request was not accepted. Check the clock and the agency's request key."),
    "NOT_FOUND": Kind("There is no such thing here, or it is not yours."),
    "NOT_ALLOWED": Kind("This key may not do that."),
    "CONFLICT": Kind("It does not follow from what the relay has. Fetch the present state, then try again."),
    "ENDED": Kind("This message has already ended for that desk."),
    "LIMITED": Kind("Too much at once. Wait as long as the answer says, then go on.", retry=True),
    "UNAVAILABLE": Kind(
        "The relay cannot store this now. Nothing was accepted; it will be tried again.", "relay", True
    ),
    "TOO_LATE": Kind(
        "The relay is shutting down. Nothing was accepted; it will be tried again.", "relay", True
    ),
    "METHOD": Kind("This is not done that way here. Update the program that asked."),
    "MEDIA": Kind("The request's content type is not the one for this. Update the program that asked."),
    "AUTHORITY": Kind("The relay answers only to its own name. Check its address in the partnership file."),
    "SLOW": Kind("The request came too slowly and was dropped. Nothing was accepted; try again.", retry=True),
    "FAULT": Kind("The relay has a fault. Nothing was accepted; tell its operator.", "relay", True),
    # --- consent and lawful basis (C-rules)
    "PURPOSE": Kind("This purpose is not one that the partnership shares for."),
    "POLICY": Kind(
        "The partnership's policy cannot be read here, so only a RED goes. Tell whoever runs this.",
        "relay",
        True,
    ),
    "POLICY_FAULT": Kind("The policy does not hold together. Correct the places named; nothing was changed."),
    "CONSENT_ONLY": Kind(
        "This kind of message needs the person's agreement. In danger, use a safeguarding type."
    ),
    "SCOPE": Kind("The person's agreement does not cover this recipient, purpose or kind of information."),
    "REASON": Kind(
        "The person was not asked and no reason is given. Ask, or record why that cannot be done safely."
    ),
    "ASK_FIRST": Kind("Nothing here is urgent, so ask the person first."),
    "BASIS": Kind(
        "Agreement is the basis of this message and it was withdrawn or refused. Another basis is needed."
    ),
    "REFUSED": Kind("The person said no, and nothing here overrides that."),
    "HOLD_LEAD": Kind(
        "Your safeguarding lead must agree before this goes. Ring them; do not wait if someone is in danger."
    ),
    "LEAD_AFTER": Kind(
        "It has gone, with an alert. Your safeguarding lead must look at it and sign within 24 hours."
    ),
    "PAPER_BASIS": Kind("It names no lawful basis for sharing. Add the Article 6 basis that you rely on."),
    "PAPER_SPECIAL": Kind("It holds special-category information without an Article 9 condition. Add one."),
    "PAPER_CRIMINAL": Kind("It holds criminal-offence information without a condition for it. Add one."),
    "PAPER_RISK": Kind("Paragraph 18 is named, but nobody in it is marked as a child or an adult at risk."),
    "PAPER_INCAPABLE": Kind(
        "Vital interests was named for somebody who can decide. Choose another condition."
    ),
    "PAPER_PUBLIC": Kind(
        "A public authority cannot use this basis for its own tasks. Choose 6e with its gateway."
    ),
    "PAPER_GATEWAY": Kind("The gateway that is named is not open to this sender and recipient."),
    "PAPER_PRESUMED": Kind(
        "The person agreed, so a condition that presumes no agreement does not fit. Choose another."
    ),
    "GRANT": Kind("The agreement on record does not cover this message."),
    "AGREE_DIFFERS": Kind(
        "Your agency's record of the person's agreement says otherwise. Leave it out: the agent writes what is there."
    ),
    "CLAIMED": Kind(
        "It rests on an agreement that nothing shows. Being red it goes, and everybody is told as of an emergency. "
        "Record the agreement or name the real basis."
    ),
    "GRANT_UNKNOWN": Kind("The agreement on record does not cover this message."),
    "WITHDRAWN": Kind("The agreement on record does not cover this message."),
    "STATUS_STALE": Kind(
        "The proof that the agreement still stands is more than 24 hours old. It renews by itself.",
        retry=True,
    ),
    "OVERRIDE": Kind(
        "The override that it names does not hold for it. Ask your safeguarding lead for one for this message."
    ),
    "NO_REQUEST": Kind(
        "It answers no open request, or says more than was asked. Send it as your own referral or concern."
    ),
    "VIR": Kind(
        "A police request about a person attests why it is needed, and names a senior officer for counselling records."
    ),
    "AGREE_MISSING": Kind(
        "It does not say how the person's agreement stands. Say it with the policy's word for it."
    ),
    "AGREE_NULL": Kind(
        "It leaves open how the person's agreement stands. Silence is never agreement: say it."
    ),
    "AGREE_WORD": Kind(
        "How the agreement stands is a word of the policy, such as GIVEN; a yes or a true is none. Choose one."
    ),
    "AGREE_BOTH": Kind("It says two things about the person's agreement. Ask which holds, and say one."),
    "VOCABULARY": Kind(
        "It names a code that the partnership's policy does not have. Choose one that it has."
    ),
    "NO_AGREEMENT": Kind(
        "No data-sharing agreement stands between these agencies for this purpose. Ask your IG officer."
    ),
    "AUTHORISER": Kind(
        "Your safeguarding lead must sign, and be another person than the author. In danger, send RED as an emergency."
    ),
    "LEAD_SIGNED": Kind("It goes, with an alert, on your safeguarding lead's signature."),
    "OVERRIDDEN": Kind(
        "It goes without the person's agreement, on your lead's signature. Tell the person when that is safe."
    ),
    "BASIS_SWITCH": Kind(
        "The person took the agreement back and another basis came in its place. Your safeguarding lead must sign."
    ),
    "ONWARD": Kind("Whoever wrote this first asked that it is not passed on. Ask them first."),
    "TOLD_REVIEW": Kind("The day to look again at whether the person can be told has passed. Look now."),
    "PAPER_DATES": Kind("It relies on a basis that is not in force today. Choose another."),
    "PAPER_DECIDER": Kind("It says that there is agreement and not who gave it. Say who decided."),
    "PAPER_BOTH": Kind("It says that the person agreed and also why they did not. Say which it is."),
    "PAPER_TOLD": Kind(
        "It does not say, or not soon enough, when the person is told. Give a day within 90 days."
    ),
    "UNFORESEEN": Kind("No rule covers this. Ask your safeguarding lead; ring if somebody is in danger."),
    # --- the person's agreement (J-rules)
    "NOT_INFORMED": Kind(
        "The person was not told what it means. Say who will see it, why, and how to stop it; then ask."
    ),
    "ASKED_LATELY": Kind(
        "The person said no not long ago. Ask again after the day noted, or when they raise it."
    ),
    "LIMITS": Kind("A limited agreement names at least one limit. Note what the person wants left out."),
    "PERIOD": Kind("An agreement ends after today and within twelve months. Choose another day."),
    "BEST_INTERESTS": Kind(
        "This needs your safeguarding lead's assessment: a best-interests note, and a day to look again."
    ),
    "NO_STEP": Kind(
        "That does not follow from where the agreement stands now. Look at it first, then go on."
    ),
    "OLDER": Kind("A newer version of this is on record. The older one changed nothing."),
    "OUT_OF_ORDER": Kind(
        "A version before this one is missing. Nothing was changed; look at what is on record."
    ),
    "AGREEMENT_ENDED": Kind(
        "This agreement was withdrawn, and nothing renews it. Ask the person before all else."
    ),
    "NO_AUTHORITY": Kind(
        "A recipient's program found that nothing allows this. Tell your IG officer that the relay let it pass.",
        "relay",
    ),
    "UNSETTLED": Kind(
        "The person told another agency to stop. That holds here too until your safeguarding lead has settled it."
    ),
    # --- overrides (O-rules)
    "PERSON_TAG": Kind(
        "A person's key says author, lead, admin or oversight and a number, such as lead-2. Make the key again."
    ),
    "ONE_PERSON": Kind("One person cannot hold both of these roles. Somebody else must hold the other one."),
    "AUTHOR_ROLE": Kind("The key that asked for this is not an author's. Ask with an author's key."),
    "AUTHORISER_ROLE": Kind(
        "The key that authorised this is not a safeguarding lead's. A lead must sign it."
    ),
    "AUTHORISER_SAME": Kind(
        "The same person asked for this and authorised it. Your safeguarding lead must sign."
    ),
    "OVERRIDE_ONE_PERSON": Kind(
        "Both keys belong to one person. Two different people must sign an override."
    ),
    "NO_LEAD": Kind(
        "Your agency has no safeguarding lead on record, so it cannot override. Ring oversight, and in danger send RED."
    ),
    "ROLE_KEY_UNSIGNED": Kind("Oversight has not countersigned this person's key yet. Ring oversight."),
    "ROLE_KEY_YOUNG": Kind(
        "This person's key was countersigned too recently. It counts a day after that; another lead may sign now."
    ),
    "OVERRIDE_AGENCY": Kind("An override is signed by two people of the agency that sends. This one is not."),
    "OVERRIDE_UNKNOWN": Kind("There is no such override on record. Ask your safeguarding lead for one."),
    "OVERRIDE_USED": Kind(
        "This override is for another message. Ask your safeguarding lead for one for this."
    ),
    "OVERRIDE_EXPIRED": Kind("This override has ended. Ask your safeguarding lead for a new one."),
    "OVERRIDE_LIFE": Kind("An override may not last that long. Choose an earlier end."),
    "OVERRIDE_RECIPIENTS": Kind(
        "The override does not name every desk that this is for. Leave the others out."
    ),
    "OVERRIDE_CATEGORIES": Kind(
        "The override does not cover every kind of information in this. Leave some out."
    ),
    "OVERRIDE_DIFFERS": Kind(
        "The override was signed for another desk, purpose, basis or reason than this says."
    ),
    "OVERRIDE_SCOPE": Kind("An override for a whole thread is only for risk, child or adult protection."),
    "OVERRIDE_POLICY": Kind(
        "What she decided by changed since the safeguarding lead signed: the policy, or what an agency is in law. Ask "
        "again, and have her sign again."
    ),
    "HOLD_LAPSED": Kind(
        "Your safeguarding lead did not agree in time, so it was not sent. Talk, then send afresh."
    ),
    # --- policies (Q-rules)
    "POLICY_SIGNERS": Kind("Fewer than two people signed this policy. Ask the second to sign it."),
    "POLICY_SAME_PERSON": Kind("The same person signed this policy twice. Somebody else must sign it too."),
    "POLICY_OLDER": Kind("A policy of this version or a later one is on record. Give it the next version."),
    "POLICY_GAP": Kind("A version before this policy is missing. Give it the next version."),
    "POLICY_PAST": Kind("This policy would have begun in the past. Choose a later first day; sign it again."),
    "POLICY_TEXT": Kind("The policy's text is not the one that was signed. Nothing was taken from it."),
    # --- retention (Y-rules)
    "RETENTION": Kind(
        "This is not a list of records to delete, or not the one that was signed. Make the plan again."
    ),
    "RETENTION_EARLY": Kind(
        "It names records whose time is not over. Make the plan again; nothing was deleted."
    ),
    "HOLD": Kind("There is no such hold of this agency. Look: fenpost-audit retention holds"),
    # --- messages (M-rules)
    "PAYLOAD": Kind("The message is not one of the partnership's forms. Correct the fields named."),
    "MISSING": Kind("Some items are still needed. Fill in the fields named."),
    "NEVER_SHARED": Kind("It holds something that never travels. Remove it from the field named."),
    "CATEGORIES_DIFFER": Kind(
        "The header does not name the kinds of information that the message holds.", "sender"
    ),
    "CLASS_DIFFERS": Kind("The header says another kind or colour of message than it holds. Send it afresh."),
    "FLAGS_DIFFER": Kind("The header's marks for special, offence or child data do not fit the message."),
    "NOT_UTF8": Kind("The message is not UTF-8 text. Save it as UTF-8 and send it again."),
    "NOT_JSON": Kind("The message is not a JSON object. Check the program that wrote it."),
    "DUPLICATE_KEY": Kind("The message names a field twice. Correct the program that wrote it."),
    "BAD_NUMBER": Kind("The message holds a number that no form carries. Only whole numbers are used."),
    "UNKNOWN_TYPE": Kind("There is no form of this type. Choose one from the catalogue."),
    "UNKNOWN_VERSION": Kind("This program does not know that version of the form. Update the older program."),
    "UNKNOWN_FIELD": Kind("Something was given that has no place in this form. Take it out."),
    "TOO_LONG": Kind("An answer is longer than the form carries. Say it more shortly."),
    "BAD_TEXT": Kind("An answer holds characters that not every screen shows alike. Type it again by hand."),
    "UNKNOWN_CODE": Kind("An answer is not one that the form offers. Choose one from the list."),
    "BAD_VALUE": Kind("An answer is not given in the way that the form asks. Correct it."),
    "UNSAFE_CONTACT": Kind("A number or address is given for a channel that is not safe. Take it out."),
    "ADDRESS_WITHHELD": Kind("An address is given that is not marked shareable. Take it out."),
    "DIGITAL_UNSAFE": Kind(
        "The device is shared or watched, so nothing may be sent to it. Choose another way."
    ),
    "COLOUR_TOO_LOW": Kind("Where family may be the danger, AMBER is the lowest colour."),
    "NOT_ALONE": Kind("Agreement counts only when the person was asked alone. Ask again."),
    "WISH_UNANSWERED": Kind("Each thing that the person wants needs a reply of its own."),
    "NOT_FROM_CASE": Kind("This kind of message is not made from a case record. Write it as it is."),
    "WRONG_DESK": Kind(
        "This desk does not take this kind of message. Look up the right desk in the directory."
    ),
    # --- agent (G-rules)
    "STORE_BUSY": Kind(
        "Another agent already uses this store. Stop it first; two agents must never share one store."
    ),
    "STORE": Kind("The agent's store does not open. Check the folder and the passphrase.", "sender"),
    "DISK_FULL": Kind(
        "The disk is full. Nothing was accepted and nothing was lost; free some space.", retry=True
    ),
    "AGENT_AWAY": Kind("No agent answers here. Start it: fenpost-agent run --dir FOLDER", retry=True),
    "RELAY_AWAY": Kind(
        "The relay cannot be reached. The message is kept and will be sent by itself.", "relay", True
    ),
    "FILE": Kind(
        "The file is not one that can be taken: a link, a folder, unreadable, or still being written."
    ),
    "SETTINGS": Kind("The settings have a fault. Correct the entry named."),
    "EXISTS": Kind(
        "It exists already and is never overwritten. Move it away first, or choose another folder."
    ),
    # --- key tools (K-rules)
    "UNFINISHED": Kind(
        "Another change was begun in this folder. Finish it first: fenpost-keys resume --dir FOLDER"
    ),
    "INVITE": Kind(
        "This invitation is not good, or not any more. Ask oversight for another; each is for one agency, once."
    ),
    "NOT_LEFT": Kind(
        "The agency has not left yet. Say first that it leaves and when: fenpost-keys agency leave --stops"
    ),
    "EMERGENCY_START": Kind(
        "The relay does not know a lead's key: an officer or oversight's duty starts, and she signs what she is given."
    ),
    "EMERGENCY_OP": Kind(
        "An operational key is not ended but replaced, by the roots. At the agency, at once: fenpost-keys recover op "
        "--officer --void-from."
    ),
    "AGENT_HERE": Kind(
        "An agent has run from this folder and renews its keys itself. Ask it: fenpost-keys rotate without --here."
    ),
    "OP_KEY": Kind(
        "Your agency's operational key was replaced: this folder holds an older one. Use the folder of whoever did."
    ),
    "NAME": Kind("The name could be mistaken for another. Choose one that nobody can confuse."),
    "FINGERPRINT": Kind(
        "That is not this agency's safety number, so nothing was sent. Ring them on a number you know."
    ),
    "BACKUP": Kind(
        "The backup does not open. Check that it is the right file, and its passphrase or shares."
    ),
    "SHARE": Kind("A share is wrong. Compare its words with the printed page, one by one."),
    "TOKEN": Kind("The token does not sign. Put it in and unlock it, then try again.", retry=True),
    "MINUTES": Kind("These minutes were changed, or nobody who attended signed them. Ask for the originals."),
    "RECONCILE": Kind(
        "Another agency's list of a day and this one's differ. See which: fenpost-agent reconcile show"
    ),
    "ANCHOR": Kind(
        "The relay's database is older than what it has signed, so it does not start. Find a newer copy of it.",
        "relay",
    ),
    "CROSS": Kind(
        "Figures narrowed like that would single people out, so they are never published. Choose fewer."
    ),
    "NO_PDF": Kind("Nothing here writes PDF. Install Fenpost with its extra 'pdf', or leave out --pdf."),
    "EVIDENCE": Kind("The evidence file was changed or cut off, so it proves nothing. Ask for it again."),
    "MIRROR": Kind(
        "The mirror of the log is damaged or of another log. Keep it, and pull into a new folder."
    ),
}
