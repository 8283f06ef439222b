"""The loops: durable workflows that wait for people and due dates, and the relay that feeds them."""
