"""What schemathesis does not know of this API: which problems are about the form of a request, and what all problems have."""

import schemathesis

# The document says what has these: a request that follows it never gets one.
CODES_OF_FORM = {
    "invalid_json",
    "invalid_yaml",
    "invalid_query",
    "invalid_header",
    "invalid_body",
    "unsupported_media_type",
    "if_match_required",
    "too_large",
}


def problem_of(response):
    is_problem = response.headers.get("content-type", [""])[0] == "application/problem+json"
    return response.json() if is_problem and response.content else None


def follows_the_document(case):
    """Whether no part of the request was meant to be wrong."""
    return case.meta is not None and all(part.mode.is_positive for part in case.meta.components.values())


@schemathesis.check
def form_is_as_described(ctx, response, case):
    """A request of the described form is refused for what it means only."""
    problem = problem_of(response)
    if problem is None or not follows_the_document(case):
        return
    # A rule between fields is none of form, and says where it is broken. So does a workflow about a payload that it reads.
    if problem["code"] == "invalid_body" and problem.get("errors"):
        return
    assert problem["code"] not in CODES_OF_FORM, f"{problem['code']}: {problem['detail']}"


@schemathesis.check
def problems_can_be_found_in_the_log(ctx, response, case):
    """Each answer has the id of its request, and a problem repeats it and its status."""
    request_id = response.headers.get("x-request-id")
    assert request_id, "no X-Request-Id"
    problem = problem_of(response)
    if problem is not None:
        assert problem["request_id"] == request_id[0], "another request id in the header"
        assert problem["status"] == response.status_code, "another status in the body"
        assert problem["type"] == f"/problems/{problem['code']}", "the type does not belong to the code"


@schemathesis.check
def errors_are_problems(ctx, response, case):
    """Whatever refuses a request does so with a problem; health reports and workflows have answers of their own."""
    has_its_own = case.operation.path in {"/readyz", "/startupz"} or case.operation.path.startswith("/hooks/")
    if response.status_code >= 400 and not has_its_own and case.method.upper() != "HEAD":
        assert problem_of(response) is not None, f"{response.status_code} without a problem"
