from jaxpad.core.results import Verdict, overall


def test_fail_outranks_all() -> None:
    assert overall(Verdict) is Verdict.FAIL


def test_inconclusive_is_no_pass() -> None:
    assert overall([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE


def test_nothing_is_inconclusive() -> None:
    assert overall([]) is Verdict.INCONCLUSIVE


def test_exit_codes_documented() -> None:
    codes = {verdict.value: verdict.exit_code for verdict in Verdict}
    assert codes == {"pass": 0, "not applicable": 0, "fail": 1, "inconclusive": 3}
