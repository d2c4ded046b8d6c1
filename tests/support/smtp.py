"""A mail server for the tests: aiosmtpd. It writes each mail into a file of its folder.

smtp.py FOLDER PORT plain|starttls|tls [USER PASSWORD]

The folder has key.pem and certificate.pem for TLS. A line of its file `answers`, such as
"RCPT 450 later", is the answer to the next such command, once; "RCPT wait" never answers.
"""

import asyncio
import email
import email.policy
import pathlib
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

folder, port, kind, *login = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *sys.argv[4:]


class Handler:
    mails = 0

    async def scripted(self, command):
        answers = folder / "answers"
        lines = answers.read_text().splitlines() if answers.exists() else []
        for number, line in enumerate(lines):
            if line.startswith(command + " "):
                answers.write_text("".join(rest + "\n" for rest in lines[:number] + lines[number + 1:]))
                answer = line.removeprefix(command + " ")
                if answer == "wait":
                    await asyncio.sleep(3600)
                return answer

    async def handle_MAIL(self, server, session, envelope, address, options):
        answer = await self.scripted("MAIL")
        if answer is None:
            envelope.mail_from = address
        return answer or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = await self.scripted("RCPT")
        if (answer or "250").startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if answer := await self.scripted("DATA"):
            return answer
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        heads = [f"envelope: {envelope.mail_from} {' '.join(envelope.rcpt_tos)}"]
        heads += [f"session: {session.host_name} {'tls' if server.transport.get_extra_info('ssl_object') else 'plain'}"]
        heads += [f"{name}: {value}" for name, value in mail.items()]
        text = "\n".join(heads) + "\n\n" + mail.get_content()
        Handler.mails += 1
        (folder / "writing").write_text(text)
        (folder / "writing").rename(folder / f"mail-{Handler.mails}")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    wanted = tuple(text.encode() for text in login)
    return AuthResult(success=(data.login, data.password) == wanted, handled=False)


class Server(Controller):
    def factory(self):
        options = {"hostname": "mail.test"}
        if kind == "starttls":
            options |= {"tls_context": context(), "require_starttls": True}
        if login:
            options |= {"authenticator": authenticate, "auth_required": True}
            options |= {"auth_require_tls": kind == "starttls"}
        return SMTP(self.handler, **options)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return made


secure = {"ssl_context": context()} if kind == "tls" else {}
server = Server(Handler(), hostname="127.0.0.1", port=port, **secure)
server.start()
sys.stdin.read()
server.stop()
