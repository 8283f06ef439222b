"""What the states, duties and answers of an inspection are called where people read them."""

from bihuan.inspection.v1 import inspection_pb2 as pb

STAGES = {
    pb.STATE_UNSPECIFIED: "未知",
    pb.STATE_INVITING: "征询联合检查",
    pb.STATE_ARRANGED: "待审批",
    pb.STATE_APPROVED: "待赋码",
    pb.STATE_READY: "待检查",
    pb.STATE_UNDER_WAY: "检查中",
    pb.STATE_RECORDED: "待反馈",
    pb.STATE_REPORTED: "已反馈",
    pb.STATE_CLOSED: "已办结",
    pb.STATE_OFF_SITE: "非现场完成",
    pb.STATE_CANCELLED: "已取消",
}
DUTIES = {
    pb.DUTY_UNSPECIFIED: "未知",
    pb.DUTY_ANSWER: "答复联合检查邀请",
    pb.DUTY_VISIT: "实施检查",
    pb.DUTY_RESULT: "录入检查结果",
    pb.DUTY_REPORT: "向企业反馈检查结果",
    pb.DUTY_REVIEW: "补办检查审批",
    pb.DUTY_HANDOVER: "移交检查发现的问题",
}
ANSWERS = {
    pb.ANSWER_UNSPECIFIED: "",
    pb.ANSWER_PENDING: "待答复",
    pb.ANSWER_ACCEPTED: "参加",
    pb.ANSWER_DECLINED: "不参加",
    pb.ANSWER_TIMED_OUT: "逾期未答复",
}
OUTCOMES = {
    pb.OUTCOME_UNSPECIFIED: "",
    pb.OUTCOME_GUIDED: "当场指导改正",
    pb.OUTCOME_RECTIFY: "转整改",
    pb.OUTCOME_PENALTY: "转处罚",
    pb.OUTCOME_REFER: "移送其他部门",
}
GRAVITIES = {
    pb.GRAVITY_UNSPECIFIED: "",
    pb.GRAVITY_MINOR: "轻微",
    pb.GRAVITY_GENERAL: "一般",
    pb.GRAVITY_SERIOUS: "严重",
}
CODES = {
    pb.Code.STATE_UNSPECIFIED: "",
    pb.Code.STATE_ISSUED: "已赋码",
    pb.Code.STATE_USED: "已使用",
    pb.Code.STATE_REVOKED: "已撤销",
}
