"""The endpoints of the simulated GitHub that belong to no repository: users, teams, the app, limits."""

from __future__ import annotations

from bot.playground.github_bodies import APP_CREATED, stamp
from bot.playground.github_reading import delivery_page, repository_routes
from bot.playground.github_rest import Answer, Call, Routes, ok
from bot.playground.github_state import Hook, Json
from bot.playground.github_world import INSTALLATION_ID, Refused

account_routes = Routes()
route = account_routes.add


@route("GET", "/meta", doc="meta/meta#get-apiname-meta-information")
def meta(call: Call) -> Answer:
    return ok({"verifiable_password_authentication": True, "installed_version": "3.18.0"})


@route("GET", "/rate_limit", doc="rate-limit/rate-limit")
def rate_limit(call: Call) -> Answer:
    core = call.github.rate()
    search = {"limit": 30, "used": 0, "remaining": 30, "reset": core["reset"]}
    return ok({"resources": {"core": core, "search": search}, "rate": core})


@route("GET", "/user", doc="users/users#get-the-authenticated-user")
def user(call: Call) -> Answer:
    if call.actor.kind == "installation":
        raise Refused(403, "Resource not accessible by integration")
    private = sum(repo.private for repo in call.github.repositories.values())
    return ok(call.github.records.private_user(call.person, private))


@route("GET", "/users/{login}", doc="users/users#get-a-user")
def user_by_login(call: Call) -> Answer:
    person = call.github.find_person(call.args[0])
    if person is None:
        raise Refused(404, "Not Found")
    return ok(call.github.records.public_user(person))


# Teams


def _team(call: Call) -> set[str]:
    organization, slug = call.args[:2]
    members = call.github.teams.get(f"{organization}/{slug}".lower())
    if members is None:
        raise Refused(404, "Not Found")
    return members


@route("GET", "/orgs/{org}/teams/{team}", "members=read", "teams/teams#get-a-team-by-name")
def team(call: Call) -> Answer:
    members = _team(call)
    organization = call.github.person(call.args[0], kind="Organization")
    seen = [repo for repo in call.github.repositories.values() if repo.owner == organization]
    return ok(call.github.records.team(organization, call.args[1].lower(), len(members), len(seen)))


@route("GET", "/orgs/{org}/teams/{team}/members", "members=read", "teams/members")
def team_members(call: Call) -> Answer:
    shown, links = call.page(sorted(_team(call)))
    return ok([call.github.records.user(call.github.person(login)) for login in shown], links)


@route("GET", "/orgs/{org}/teams/{team}/memberships/{login}", "members=read", "teams/members")
def team_membership(call: Call) -> Answer:
    login = next((one for one in _team(call) if one.lower() == call.args[2].lower()), None)
    if login is None:
        raise Refused(404, "Not Found")
    url = f"{call.github.records.api}/orgs/{call.args[0]}/teams/{call.args[1]}/memberships/{login}"
    return ok({"url": url, "role": "member", "state": "active"})


# Webhooks of organizations


def _organization_hooks(call: Call) -> dict[int, Hook]:
    return call.github.organization_hooks.get(call.args[0].lower(), {})


def _organization_hook(call: Call) -> Hook:
    found = _organization_hooks(call).get(int(call.args[1]) if call.args[1].isdecimal() else 0)
    if found is None:
        raise Refused(404, "Not Found")
    return found


@route("GET", "/orgs/{org}/hooks", "organization_hooks=read", "orgs/webhooks#list-organization-webhooks")
def organization_hooks(call: Call) -> Answer:
    organization = call.github.person(call.args[0], kind="Organization")
    shown, links = call.page(list(_organization_hooks(call).values()))
    return ok([call.github.records.organization_hook(organization, one) for one in shown], links)


@route("GET", "/orgs/{org}/hooks/{id}/deliveries", "organization_hooks=read", "orgs/webhooks")
def organization_hook_deliveries(call: Call) -> Answer:
    return delivery_page(call, _organization_hook(call))


@route("POST", "/orgs/{org}/hooks/{id}/deliveries/{delivery}/attempts", "organization_hooks=write", "orgs/webhooks")
def redeliver_to_organization(call: Call) -> Answer:
    call.github.redeliver(call.github.delivery_of(_organization_hook(call), call.args[2]))
    return Answer(202, {})


# The app


def _as_app(call: Call) -> Json:
    if call.actor.kind != "app":
        raise Refused(401, "A JSON web token could not be decoded", doc="apps/apps")
    return call.github.app_body()


@route("GET", "/app", doc="apps/apps#get-the-authenticated-app")
def app(call: Call) -> Answer:
    return ok({**_as_app(call), "installations_count": 1})


@route("GET", "/app/installations", doc="apps/apps#list-installations-for-the-authenticated-app")
def installations(call: Call) -> Answer:
    shown, links = call.page([_installation(call)])
    return ok(shown, links)


@route("GET", "/app/installations/{id}", doc="apps/apps#get-an-installation-for-the-authenticated-app")
def installation(call: Call) -> Answer:
    _known_installation(call)
    return ok(_installation(call))


@route("POST", "/app/installations/{id}/access_tokens", doc="apps/apps")
def access_tokens(call: Call) -> Answer:
    _known_installation(call)
    made = call.github.new_installation_token(call.body())
    body: Json = {
        "token": made.token,
        "expires_at": stamp(made.expires_at),
        "permissions": made.permissions,
        "repository_selection": "all" if made.repositories is None else "selected",
    }
    if made.repositories is not None:
        found = [r for r in call.github.repositories.values() if r.id in made.repositories]
        body["repositories"] = [call.github.records.repository(repo) for repo in found]
    return Answer(201, body)


def _app_hook(call: Call) -> Hook:
    _as_app(call)
    if call.github.app_hook is None:
        raise Refused(404, "Not Found")
    return call.github.app_hook


@route("GET", "/app/hook/config", doc="apps/webhooks#get-a-webhook-configuration-for-an-app")
def app_hook_config(call: Call) -> Answer:
    hook = _app_hook(call)
    config = {"content_type": hook.content_type, "insecure_ssl": "0", "secret": "********", "url": hook.target_url}
    return ok(config)


@route("GET", "/app/hook/deliveries", doc="apps/webhooks#list-deliveries-for-an-app-webhook")
def app_hook_deliveries(call: Call) -> Answer:
    return delivery_page(call, _app_hook(call))


@route("POST", "/app/hook/deliveries/{delivery}/attempts", doc="apps/webhooks")
def redeliver_to_app(call: Call) -> Answer:
    call.github.redeliver(call.github.delivery_of(_app_hook(call), call.args[0]))
    return Answer(202, {})


@route("GET", "/installation/repositories", "metadata=read", "apps/installations")
def installation_repositories(call: Call) -> Answer:
    if call.actor.kind != "installation":
        raise Refused(403, "You must authenticate with an installation access token")
    seen = [r for r in call.github.repositories.values() if call.github.can_see(r, call.actor)]
    shown, links = call.page(seen)
    bodies = [call.github.records.repository(repo) for repo in shown]
    return ok({"total_count": len(seen), "repositories": bodies}, links)


@route("GET", "/orgs/{org}/installation", doc="apps/apps")
def organization_installation(call: Call) -> Answer:
    return ok(_installation(call))


@repository_routes.add("GET", "/installation", doc="apps/apps")
def repository_installation(call: Call) -> Answer:
    return ok(_installation(call))


def _known_installation(call: Call) -> None:
    _as_app(call)
    if call.args[0] != str(INSTALLATION_ID):
        raise Refused(404, "Not Found")


def _installation(call: Call) -> Json:
    app = _as_app(call)
    api, account = call.github.records.api, app["owner"]
    settings = f"{call.github.url}/organizations/{account['login']}/settings"
    return {
        "id": INSTALLATION_ID,
        "client_id": app["client_id"],
        "account": account,
        "repository_selection": "all",
        "access_tokens_url": f"{api}/app/installations/{INSTALLATION_ID}/access_tokens",
        "repositories_url": f"{api}/installation/repositories",
        "html_url": f"{settings}/installations/{INSTALLATION_ID}",
        "app_id": app["id"],
        "app_slug": app["slug"],
        "target_id": account["id"],
        "target_type": "Organization",
        "permissions": app["permissions"],
        "events": app["events"],
        "created_at": stamp(APP_CREATED),
        "updated_at": stamp(APP_CREATED),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None,
        "suspended_at": None,
    }
