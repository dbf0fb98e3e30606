"""Canaille, with people and clients that are gone when it ends: `server.py PORT CLIENTS SECRET PEOPLE`, clients and people as JSON."""

import datetime
import json
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey

port, clients, secret, people = sys.argv[1:]
key = RSAKey.generate_key(2048, parameters={"alg": "RS256", "use": "sig"}).as_dict(private=True)
app = create_app({
    "SECRET_KEY": secret,
    "SERVER_NAME": f"127.0.0.1:{port}",
    "PREFERRED_URL_SCHEME": "http",
    "CANAILLE": {"DATABASE": "sql", "JAVASCRIPT": False, "HTMX": False},
    # Its database in memory finds a code for whoever knows the client alone.
    "CANAILLE_SQL": {"DATABASE_URI": "sqlite:///canaille.sqlite"},
    "CANAILLE_OIDC": {"ACTIVE_JWKS": [key]},
})
with app.app_context():
    groups = {}
    for person in json.loads(people):
        name, password = person["name"], person["password"]
        user = models.User(user_name=name, formatted_name=name, family_name=name, emails=[f"{name}@acme.test"], password=password)
        Backend.instance.save(user)
        for group in person["groups"]:
            groups.setdefault(group, []).append(user)
    for name, members in groups.items():
        Backend.instance.save(models.Group(display_name=name, members=members))
    for name, redirect in json.loads(clients):
        client = models.Client(
            client_id=name,
            client_secret=secret,
            client_name=name,
            # One that it trusts: people are not asked whether they want to be known there.
            client_uri="http://127.0.0.1",
            redirect_uris=[redirect],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
            client_id_issued_at=datetime.datetime.now(datetime.timezone.utc),
        )
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = make_server("127.0.0.1", int(port), app, server_class=Server)
print("ready", flush=True)
server.serve_forever()
