"""The OpenAPI document, and the page that shows it without external resources."""

import re

import pytest

from tests.api.conftest import Api


@pytest.mark.one_engine
async def test_the_page_loads_nothing_from_other_hosts(api: Api) -> None:
    page = await api.http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http:" not in page.text
    assert "https:" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    for path in loaded:
        if path == "data:,":
            continue
        asset = await api.http.get(path)
        assert asset.status_code == 200, path
        assert asset.headers["x-content-type-options"] == "nosniff"
    style = (await api.http.get("/docs/swagger-ui.css")).text
    assert not re.search(r"url\(['\"]?(?:https?:)?//", style)
    assert "@import" not in style
    script = (await api.http.get("/docs/docs.js")).text
    assert "validatorUrl: null" in script
    assert "http" not in script.replace("/openapi.json", "")


@pytest.mark.one_engine
async def test_assets_are_revalidated_by_etag(api: Api) -> None:
    first = await api.http.get("/docs/swagger-ui-bundle.js")
    again = await api.http.get("/docs/swagger-ui-bundle.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await api.http.get("/docs/../app.py")).status_code == 404
    assert (await api.http.get("/docs/%2e%2e%2fapp.py")).status_code == 404


@pytest.mark.one_engine
async def test_every_route_is_described_with_its_errors(api: Api) -> None:
    described = await api.get("/openapi.json")
    assert described["openapi"].startswith("3.1")
    paths = described["paths"]
    assert {
        *("/api/system-status", "/api/system/status", "/api/services", "/api/system/services"),
        *("/api/services/{service_id}", "/api/uptime/{service_id}", "/api/response-times/{service_id}"),
        *("/health", "/ready", "/metrics"),
        *("/api/audit", "/api/settings"),
    } <= set(paths)
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation["summary"] and operation["description"] and operation["tags"], (path, method)
            assert all(parameter.get("description") for parameter in operation.get("parameters", [])), (path, method)
            assert ("429" in operation["responses"]) == path.startswith("/api/"), (path, method)
            for status, response in operation["responses"].items():
                if int(status) >= 400 and status != "412":  # it contains the version that another user saved
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, method, status)
    assert described["components"]["schemas"]["HttpService"]["properties"]["intervalSeconds"]["maximum"] == 86400
    assert "example" in str(paths["/api/services"]["post"]["requestBody"])


@pytest.mark.one_engine
async def test_a_description_names_the_role_that_the_route_requires(api: Api) -> None:
    paths = (await api.get("/openapi.json"))["paths"]
    for method, path, end in (
        ("post", "/api/incidents", " Requires the role `reporter` or higher."),
        ("delete", "/api/templates/{template_id}", "role `admin`, for the user's own objects `reporter`."),
        ("get", "/api/settings", " Requires the role `admin`."),
        ("get", "/api/users", " Requires the role `admin`. API tokens are refused."),
    ):
        assert paths[path][method]["description"].endswith(end)
    assert "Requires" not in paths["/api/system-status"]["get"]["description"]
