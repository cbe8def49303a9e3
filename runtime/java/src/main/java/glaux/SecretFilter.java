package glaux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.FilterConfig;
import javax.servlet.ServletException;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/**
 * Refuses every request to the Spark UI that does not carry the secret, and everything but reading. The UI listens on a
 * loopback address, which every user of the machine reaches; only the server knows the secret.
 *
 * <p>Spark makes it by its name, so the secret comes from the environment, never from a property that the UI would show;
 * in the process for ended sessions from what that was told, since what it reads is not to be trusted near /proc/self/environ.
 */
public final class SecretFilter implements Filter {
    /** The header that the server's proxy adds to each request. */
    static final String HEADER = "X-Glaux-Session-Secret";

    /** The variable that holds the secret. */
    static final String VARIABLE = "GLAUX_UI_SECRET";

    private static volatile String told;

    private byte[] secret = new byte[0];

    /** Tells the secret to filters that are made from now on, instead of the environment. */
    static void tell(String secret) {
        told = secret;
    }

    @Override
    public void init(FilterConfig config) throws ServletException {
        String known = told != null ? told : System.getenv().getOrDefault(VARIABLE, "");
        secret = known.getBytes(StandardCharsets.UTF_8);
        if (secret.length == 0) {
            throw new ServletException("the secret of the UI is not known");
        }
    }

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain next) throws IOException, ServletException {
        HttpServletRequest asked = (HttpServletRequest) request;
        HttpServletResponse answer = (HttpServletResponse) response;
        String given = asked.getHeader(HEADER);
        if (given == null || !MessageDigest.isEqual(secret, given.getBytes(StandardCharsets.UTF_8))) {
            answer.sendError(HttpServletResponse.SC_UNAUTHORIZED);
            return;
        }
        if (!asked.getMethod().equals("GET") && !asked.getMethod().equals("HEAD")) {
            answer.sendError(HttpServletResponse.SC_METHOD_NOT_ALLOWED);
            return;
        }
        next.doFilter(request, response);
    }

    @Override
    public void destroy() {}
}
