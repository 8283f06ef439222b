"""Notification (通知): inboxes of enterprises, officers and desks."""
