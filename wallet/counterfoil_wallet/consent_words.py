"""What the wallet says about grants, in English and Chinese. Every text is ours alone.

Looked up by the words of closed lists: a purpose, a state, a reminder. A test holds the
two languages to each other, so that nothing is said in one and not in the other.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from counterfoil_consent.states import Missing, Trigger
from counterfoil_consent.terms import Operation, Purpose

from counterfoil_wallet.consent_reminders import Notable
from counterfoil_wallet.consent_view import ConsentState
from counterfoil_wallet.policy import Concern


class Language(StrEnum):
    """A language that the wallet speaks."""

    ENGLISH = "en"
    CHINESE = "zh"

    @staticmethod
    def of(tag: str) -> "Language":
        """Give the language for a tag such as `zh-Hans-CN`; English for any that is not spoken."""
        spoken = tag.replace("_", "-").partition("-")[0].casefold()
        return Language.CHINESE if spoken == Language.CHINESE else Language.ENGLISH


def purpose_text(purpose: Purpose, language: Language) -> str:
    """Give what the data is for, as a phrase."""
    return _PURPOSES[language][purpose]


def operation_text(operation: Operation, language: Language) -> str:
    """Give what may be done with the data, as a phrase."""
    return _OPERATIONS[language][operation]


def state_text(state: ConsentState, language: Language) -> str:
    """Give where a grant stands, as a phrase."""
    return _STATES[language][state]


def end_text(trigger: Trigger, language: Language) -> str:
    """Give why a grant ended, as a phrase."""
    return _ENDS[language][trigger]


def lack_text(missing: Missing, language: Language) -> str:
    """Give what a proof of erasure does not prove, as a phrase."""
    return _LACKS[language][missing]


def backups_text(until: date, language: Language) -> str:
    """Give until when a backup may still hold something, as a phrase."""
    return _BACKUPS[language].format(until=f"{until:%Y-%m-%d}")


def notable_text(notable: Notable, language: Language) -> str:
    """Give what the customer is reminded of, as a sentence."""
    return _NOTABLE[language][notable]


def concern_text(concern: Concern, language: Language) -> str:
    """Give what is wrong with a request, as a sentence."""
    return _CONCERNS[language][concern]


# They can no longer open it; nobody can prove that they wrote nothing down.
LIMIT: Final[Mapping[Language, str]] = {
    Language.ENGLISH: (
        "They can no longer open your data. Nobody can prove that nothing was written down."
    ),
    Language.CHINESE: "他们已无法再打开你的数据。但没有人能证明没有人抄录过。",
}

_PURPOSES: Final[Mapping[Language, Mapping[Purpose, str]]] = {
    Language.ENGLISH: {
        Purpose.IDENTITY_VERIFICATION: "to check who you are",
        Purpose.AGE_VERIFICATION: "to check your age",
        Purpose.FRAUD_PREVENTION: "to prevent and find fraud",
        Purpose.CLAIMS_MANAGEMENT: "to handle your warranty claim or refund",
        Purpose.CUSTOMER_CARE: "to answer your questions",
        Purpose.REPAIR: "to repair what you own",
        Purpose.DISPUTE_MANAGEMENT: "to settle a dispute",
        Purpose.ORDER_MANAGEMENT: "to handle your order",
        Purpose.DELIVERY: "to deliver to you",
        Purpose.PERSONALISED_BENEFITS: "to give you benefits made for you",
        Purpose.RECOMMENDATIONS: "to recommend things to you",
        Purpose.DIRECT_MARKETING: "to advertise to you",
        Purpose.USAGE_ANALYTICS: "to study how their service is used",
        Purpose.IMPROVEMENT: "to improve what they make",
        Purpose.LEGAL_COMPLIANCE: "to do what a law demands",
    },
    Language.CHINESE: {
        Purpose.IDENTITY_VERIFICATION: "核实你的身份",
        Purpose.AGE_VERIFICATION: "核实你的年龄",
        Purpose.FRAUD_PREVENTION: "防止和发现欺诈",
        Purpose.CLAIMS_MANAGEMENT: "处理你的保修或退款",
        Purpose.CUSTOMER_CARE: "答复你的咨询",
        Purpose.REPAIR: "维修你的物品",
        Purpose.DISPUTE_MANAGEMENT: "解决纠纷",
        Purpose.ORDER_MANAGEMENT: "处理你的订单",
        Purpose.DELIVERY: "为你送货",
        Purpose.PERSONALISED_BENEFITS: "为你提供专属优惠",
        Purpose.RECOMMENDATIONS: "向你推荐商品",
        Purpose.DIRECT_MARKETING: "向你投放广告",
        Purpose.USAGE_ANALYTICS: "分析其服务的使用情况",
        Purpose.IMPROVEMENT: "改进其产品",
        Purpose.LEGAL_COMPLIANCE: "履行法律义务",
    },
}
_OPERATIONS: Final[Mapping[Language, Mapping[Operation, str]]] = {
    Language.ENGLISH: {
        Operation.USE: "use it",
        Operation.STORE: "keep it",
        Operation.CONSULT: "look at it",
        Operation.PROFILING: "make a profile of you",
        Operation.SHARE: "hand it to those who are named",
    },
    Language.CHINESE: {
        Operation.USE: "使用",
        Operation.STORE: "保存",
        Operation.CONSULT: "查看",
        Operation.PROFILING: "为你建立画像",
        Operation.SHARE: "提供给列明的接收方",
    },
}
_STATES: Final[Mapping[Language, Mapping[ConsentState, str]]] = {
    Language.ENGLISH: {
        ConsentState.WAITING: "waiting for their receipt",
        ConsentState.UNACKNOWLEDGED: "not acknowledged: no receipt has come",
        ConsentState.ACTIVE: "in force",
        ConsentState.SUSPENDED: "paused: nothing can be read",
        ConsentState.ERASURE_PENDING: "ended; they owe you the proof of erasure",
        ConsentState.OVERDUE: "ended; the proof of erasure is overdue",
        ConsentState.ERASED: "erased, with proof",
        ConsentState.ERASED_IN_PART: "erased, except what a law makes them keep",
        ConsentState.NOT_GRANTED: "not granted",
    },
    Language.CHINESE: {
        ConsentState.WAITING: "等待对方的回执",
        ConsentState.UNACKNOWLEDGED: "未确认：尚未收到回执",
        ConsentState.ACTIVE: "生效中",
        ConsentState.SUSPENDED: "已暂停：无法读取",
        ConsentState.ERASURE_PENDING: "已结束；对方尚未提供删除证明",
        ConsentState.OVERDUE: "已结束；删除证明已逾期",
        ConsentState.ERASED: "已删除，并有证明",
        ConsentState.ERASED_IN_PART: "已删除，法律要求保留的除外",
        ConsentState.NOT_GRANTED: "未授权",
    },
}
_ENDS: Final[Mapping[Language, Mapping[Trigger, str]]] = {
    Language.ENGLISH: {
        Trigger.WITHDRAWN: "you withdrew it",
        Trigger.COMPLETED: "it was done",
        Trigger.EXPIRED: "its time was over",
        Trigger.TERMINATED: "they or the authority ended it",
    },
    Language.CHINESE: {
        Trigger.WITHDRAWN: "你已撤回",
        Trigger.COMPLETED: "事项已完成",
        Trigger.EXPIRED: "已到期",
        Trigger.TERMINATED: "对方或监管机构已终止",
    },
}
_LACKS: Final[Mapping[Language, Mapping[Missing, str]]] = {
    Language.ENGLISH: {
        Missing.RECEIPT: "their signed receipt is missing",
        Missing.STATEMENT: "the custodian has not said that its key is destroyed",
        Missing.LEASE_LOG: "their log of reads does not explain the custodian's count",
        Missing.RECIPIENT: "has not said that it erased",
        Missing.GOOD_RECIPIENT: "has said that it erased, and its word does not hold",
        Missing.ATTESTATION: "nobody trusted has looked",
    },
    Language.CHINESE: {
        Missing.RECEIPT: "缺少对方签署的回执",
        Missing.STATEMENT: "保管方尚未声明其密钥已销毁",
        Missing.LEASE_LOG: "对方的读取记录与保管方的计数不符",
        Missing.RECIPIENT: "尚未声明已删除",
        Missing.GOOD_RECIPIENT: "声明已删除，但其声明无效",
        Missing.ATTESTATION: "没有可信的第三方查验",
    },
}
_BACKUPS: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "in backups until {until}",
    Language.CHINESE: "备份保留至 {until}",
}
_NOTABLE: Final[Mapping[Language, Mapping[Notable, str]]] = {
    Language.ENGLISH: {
        Notable.UNUSED: "Not used for 60 days. You may want to end it.",
        Notable.ENDING_SOON: "It ends soon.",
        Notable.RECEIPT_MISSING: "No receipt has come. Nothing can be read without it.",
        Notable.NOTICE_CHANGED: "They changed the text that you agreed to. Yours still holds.",
        Notable.LOG_CHANGED: "Their log of reads is not the one that they showed before.",
        Notable.NEW_RECIPIENT: "They ask to hand your data to somebody new.",
        Notable.ERASURE_OVERDUE: "The proof of erasure is overdue. You can complain.",
    },
    Language.CHINESE: {
        Notable.UNUSED: "已有 60 天未使用。你可以考虑结束授权。",
        Notable.ENDING_SOON: "即将到期。",
        Notable.RECEIPT_MISSING: "尚未收到回执。没有回执则无法读取。",
        Notable.NOTICE_CHANGED: "对方更改了你同意过的文本。你同意的版本仍然有效。",
        Notable.LOG_CHANGED: "对方的读取记录与先前出示的不一致。",
        Notable.NEW_RECIPIENT: "对方请求将你的数据提供给新的接收方。",
        Notable.ERASURE_OVERDUE: "删除证明已逾期。你可以投诉。",
    },
}
_CONCERNS: Final[Mapping[Language, Mapping[Concern, str]]] = {
    Language.ENGLISH: {
        Concern.BEYOND_REGISTRATION: "They did not register that they ask for this.",
        Concern.WHOLE_CARD: "They ask for everything that the card says.",
        Concern.BIRTHDAY: "Your date of birth says more than your age.",
        Concern.LONG: "They ask for longer than this purpose takes.",
        Concern.PROFILE: "They want to make a profile of you.",
        Concern.MINOR: "This is not asked of anybody under age. This wallet refuses it.",
        Concern.BRIBE: "They offer more for it than a free choice bears. This wallet refuses it.",
    },
    Language.CHINESE: {
        Concern.BEYOND_REGISTRATION: "对方未登记需要此项数据。",
        Concern.WHOLE_CARD: "对方索取该凭证上的全部内容。",
        Concern.BIRTHDAY: "出生日期透露的信息多于年龄。",
        Concern.LONG: "对方请求的期限超过该用途所需。",
        Concern.PROFILE: "对方想为你建立画像。",
        Concern.MINOR: "不得向未成年人提出此请求。本钱包拒绝。",
        Concern.BRIBE: "对方给出的奖励过高，影响自由选择。本钱包拒绝。",
    },
}
